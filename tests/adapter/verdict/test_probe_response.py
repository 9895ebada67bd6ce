"""Responses to probers: the app's own, forwarded, and those of the adapter."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Reason
from sidecars.adapter.verdict.probe_response import FORWARDED_HEADERS, forwarded_response
from tests.adapter.support import app_url

APP_REQUEST = AppRequest("default", app_url("http://127.0.0.1:8080/metrics"), 0.8, 4096)


@given(st.integers(200, 599), st.binary(max_size=64))
def test_an_answer_of_the_app_is_handed_on_with_its_status_and_its_bytes(status: int, body: bytes) -> None:
    response = forwarded_response(APP_REQUEST, AppResponse(status, {"content-type": "text/plain"}, body))

    assert (response.status, response.body) == (status, body)
    assert response.headers == {"Content-Type": "text/plain"}
    assert response.passing == (status < 400)


@pytest.mark.parametrize("reason", get_args(Reason))
def test_no_answer_is_503_and_the_reason_in_a_sentence(reason: Reason) -> None:
    response = forwarded_response(APP_REQUEST, NoResponse(reason, "cannot be reached: it is broken"))

    assert response.status == 503
    assert response.body == b"http://127.0.0.1:8080/metrics cannot be reached: it is broken\n"
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.passing


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 999])
def test_a_status_that_ends_nothing_is_503(status: int) -> None:
    response = forwarded_response(APP_REQUEST, AppResponse(status, {}, b""))

    assert response.status == 503
    assert str(status) in response.reason


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_only_headers_about_the_bytes_are_handed_on(headers: dict[str, str]) -> None:
    response = forwarded_response(APP_REQUEST, AppResponse(200, headers, b""))

    assert set(response.headers) <= set(FORWARDED_HEADERS)


@given(st.sampled_from(FORWARDED_HEADERS), st.text(max_size=40))
def test_no_header_value_can_end_the_line_or_fail_to_be_sent(name: str, value: str) -> None:
    response = forwarded_response(APP_REQUEST, AppResponse(200, {name.lower(): value}, b""))

    for handed_on in response.headers.values():
        assert handed_on == value
        assert not {"\r", "\n", "\0"} & set(handed_on)
        handed_on.encode("ascii")


@pytest.mark.parametrize(
    "name", ["connection", "keep-alive", "transfer-encoding", "content-length", "set-cookie", "te"]
)
def test_headers_of_the_connection_and_of_the_apps_own_clients_are_not_handed_on(name: str) -> None:
    assert not forwarded_response(APP_REQUEST, AppResponse(200, {name: "x"}, b"")).headers
