"""The clock of a service, by its Date; and the ends of credentials, which are in its time."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import fixed_secret
from sidecars.chassis.config.urls import Url
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.aws_answers import keys_of_metadata, keys_of_sts
from sidecars.chassis.identity.service import Service
from sidecars.chassis.identity.token_sources import AzureAppService

NOW = 1_796_018_400.0  # 2026-11-30T06:00:00Z


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"date": "Mon, 30 Nov 2026 07:00:00 GMT"}, 3600),
        ({"date": "Mon, 30 Nov 2026 05:45:00 GMT"}, -900),
        ({"date": "Mon, 30 Nov 2026 06:00:59 GMT"}, 0),
        ({"date": "Tue, 01 Dec 2026 06:00:00 GMT"}, 86400),
        ({"date": "Tue, 01 Dec 2026 06:00:01 GMT"}, 0),  # more than a day lies
        ({"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"date": "soon"}, 0),
        ({}, 0),
        ({"date": "Mon, 30 Nov 2026 07:00:00 GMT", "age": "5"}, 0),  # of a cache
    ],
)
def test_a_date_tells_the_clock_of_a_service(headers: dict[str, str], ahead: float) -> None:
    assert service_clock.of(headers, NOW) == ahead


@given(date=st.text(max_size=80), wall=st.floats(0, 1e11))
def test_no_date_makes_a_clock_that_is_more_than_a_day_off(date: str, wall: float) -> None:
    assert abs(service_clock.seconds_ahead(date, wall)) <= 86_400


def test_keys_end_in_the_time_of_this_clock() -> None:
    keys = b'{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-30T07:00:00Z"}'
    assert keys_of_metadata(200, keys, 3000.0).expires == NOW + 600
    assert keys_of_metadata(200, keys).expires == NOW + 3600
    xml = b"<C><AccessKeyId>a</AccessKeyId><SecretAccessKey>b</SecretAccessKey></C>"
    assert keys_of_sts(200, xml, 3000.0).expires is None


@pytest.mark.parametrize("ahead", [-7200, 0, 7200])
async def test_a_token_with_a_time_of_its_end_lives_as_long_by_any_clock(
    monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    theirs = int(time.time() + ahead)

    async def ask(*_: Any) -> ClientResponse:
        body = b'{"access_token": "t", "expires_on": "%d"}' % (theirs + 600)
        return ClientResponse(200, {"date": formatdate(theirs, usegmt=True)}, body, early=False)

    monkeypatch.setattr(Service, "ask", ask)
    source = AzureAppService(Service(Url(urlsplit("http://127.0.0.1:1/msi")), 1), fixed_secret("header"), "scope")
    assert (await source.fetch(0.0)).ends == pytest.approx(600, abs=30)
