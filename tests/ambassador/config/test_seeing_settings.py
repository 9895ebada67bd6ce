"""The settings of traces, request ids and the access log: what is refused, and in which words."""

from __future__ import annotations

import pytest

from sidecars.ambassador.config import seeing_settings
from sidecars.ambassador.config.seeing_settings import share
from sidecars.ambassador.proxy.observed import access_fields
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import SettingsError, load

LOG = {"AMBASSADOR_ACCESS_LOG": "all"}
UPSTREAM = {"AMBASSADOR_UPSTREAM": "http://orders"}
ENDPOINT = {"AMBASSADOR_TRACES_ENDPOINT": "http://collector:4318", "AMBASSADOR_TRACES": "on"}


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"AMBASSADOR_TRACES": "on"}, "AMBASSADOR_TRACES=on, but AMBASSADOR_TRACES_ENDPOINT is not set"),
        ({"AMBASSADOR_TRACES_ENDPOINT": "http://a:4318"}, "no upstream has AMBASSADOR_TRACES=on"),
        (
            {"AMBASSADOR_TRACES_HEADERS": "A: b"},
            "AMBASSADOR_TRACES_HEADERS is set, but AMBASSADOR_TRACES_ENDPOINT is not",
        ),
        ({**ENDPOINT, "AMBASSADOR_TRACES_HEADERS": "secret"}, "AMBASSADOR_TRACES_HEADERS: line 1: expected"),
        ({**ENDPOINT, "AMBASSADOR_TRACES_HEADERS": "Host: secret"}, "no field that frames the request"),
        ({"AMBASSADOR_TRACES_RATIO": "101%"}, "expected a share from 0% to 100%"),
        ({"AMBASSADOR_TRACES_RATIO": "0.5"}, "expected a share from 0% to 100%"),
        ({"AMBASSADOR_REQUEST_ID_HEADER": "traceparent"}, "expected the name of a header field for ids"),
        ({"AMBASSADOR_REQUEST_ID_HEADER": "Cookie"}, "expected the name of a header field for ids"),
        (
            {**LOG, "AMBASSADOR_REQUEST_ID_HEADER": "X-Id", "AMBASSADOR_ACCESS_LOG_FIELDS": "request.x-id"},
            "request.x-id is a field of AMBASSADOR_REQUEST_ID_HEADER: write request_id",
        ),
        (
            {**LOG, "AMBASSADOR_TRACES": "context", "AMBASSADOR_ACCESS_LOG_FIELDS": "request.traceparent"},
            "request.traceparent is a field of AMBASSADOR_TRACES: write trace_id",
        ),
        (
            {**LOG, "AMBASSADOR_DEADLINE_HEADER": "x-ms", "AMBASSADOR_ACCESS_LOG_FIELDS": "request.x-ms"},
            "request.x-ms is a field of AMBASSADOR_DEADLINE_HEADER: leave it out",
        ),
        ({"AMBASSADOR_REQUEST_ID_HEADER": "x-id", "AMBASSADOR_HEADERS": "X-Id: 1"}, "both decide about x-id"),
        ({"AMBASSADOR_DEADLINE_HEADER": "x-ms", "AMBASSADOR_HEADERS": "X-Ms: 1"}, "both decide about x-ms"),
        ({"AMBASSADOR_TRACES": "context", "AMBASSADOR_HEADERS": "-Traceparent"}, "both decide about traceparent"),
        (
            {"AMBASSADOR_REQUEST_ID_HEADER": "x-id", "AMBASSADOR_DEADLINE_HEADER": "X-Id"},
            "AMBASSADOR_DEADLINE_HEADER and AMBASSADOR_REQUEST_ID_HEADER are the same field",
        ),
        (
            {"AMBASSADOR_REQUEST_ID_HEADER": "x-id", "AMBASSADOR_BALANCE": "hash:header:x-id"},
            "AMBASSADOR_BALANCE=hash:header:x-id: x-id is kept aside for AMBASSADOR_REQUEST_ID_HEADER",
        ),
        (
            {
                "AMBASSADOR_UPSTREAM": "https://sqs.eu-central-1.amazonaws.com",
                "AMBASSADOR_AUTH": "aws",
                "AMBASSADOR_REQUEST_ID_HEADER": "x-amz-id",
            },
            "AMBASSADOR_REQUEST_ID_HEADER: x-amz-id would not be signed",
        ),
        ({"AMBASSADOR_REQUEST_ID_HEADER": "Idempotency-Key"}, "expected the name of a header field for ids"),
        ({"AMBASSADOR_DEADLINE_HEADER": "Content-Type"}, "expected the name of a header field for milliseconds"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "default"}, "AMBASSADOR_ACCESS_LOG is off"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "nonsense"}, "expected names between commas: default, upstream, method"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "request.authorization"}, "expected no header that may carry a secret"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "request.cookie"}, "expected no header that may carry a secret"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "response.Set-Cookie"}, "expected no header that may carry a secret"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "request.x-api-key"}, "expected no header that may carry a secret"),
        ({"AMBASSADOR_ACCESS_LOG_FIELDS": "request.x_api_key"}, "expected no header that may carry a secret"),
        (
            {"AMBASSADOR_ACCESS_LOG_FIELDS": "request.ocp-apim-subscription-key"},
            "expected no header that may carry a secret",
        ),
        (
            {
                "AMBASSADOR_ACCESS_LOG_FIELDS": "request.x-pass",
                "AMBASSADOR_ACCESS_LOG": "all",
                "AMBASSADOR_HEADERS": "X-Pass: secret",
            },
            "request.x-pass is a field of AMBASSADOR_HEADERS, which no log shows",
        ),
        (
            {"AMBASSADOR_ACCESS_LOG_FIELDS": "request_id", "AMBASSADOR_ACCESS_LOG": "all"},
            "needs AMBASSADOR_REQUEST_ID_HEADER",
        ),
        (
            {"AMBASSADOR_ACCESS_LOG_FIELDS": "trace_id", "AMBASSADOR_ACCESS_LOG": "all"},
            "trace_id needs AMBASSADOR_TRACES",
        ),
    ],
)
def test_what_contradicts_itself_is_one_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {**UPSTREAM, **environ})
    (problem,) = caught.value.problems
    assert sentence in problem
    assert "secret" not in problem.replace("carry a secret", "")


def test_an_upstream_of_tcp_may_stand_beside_one_that_is_traced_but_cannot_be_traced_itself() -> None:
    both = {
        "AMBASSADOR_ORDERS_UPSTREAM": "http://orders",
        "AMBASSADOR_DB_UPSTREAM": "tcp://db:5432",
        "AMBASSADOR_DB_LISTEN": "127.0.0.1:5432",
    }
    load(Settings, {**both, **ENDPOINT})
    with pytest.raises(SettingsError) as caught:
        load(Settings, {**both, "AMBASSADOR_DB_TRACES": "context"})
    assert caught.value.problems == [
        "AMBASSADOR_DB_TRACES is set, but AMBASSADOR_DB_UPSTREAM is not HTTP: leave it unset"
    ]


def test_credentials_for_a_collector_without_encryption_are_warned_about() -> None:
    credentials = {"AMBASSADOR_TRACES_HEADERS": "Authorization: Bearer secret"}
    (warning,) = load(Settings, {**UPSTREAM, **ENDPOINT, **credentials}).warn()
    assert "AMBASSADOR_TRACES_HEADERS is sent to collector:4318 without encryption" in warning
    for endpoint in ("https://collector", "http://127.0.0.1:4318"):
        environ = {**UPSTREAM, **ENDPOINT, **credentials, "AMBASSADOR_TRACES_ENDPOINT": endpoint}
        assert list(load(Settings, environ).warn()) == []


@pytest.mark.parametrize(
    ("text", "number"), [("1%", 0.01), ("0%", 0.0), ("100%", 1.0), ("0.05%", 0.0005), ("12.5%", 0.125)]
)
def test_a_share_may_be_small_and_is_shown_as_it_was_written(text: str, number: float) -> None:
    assert share.parse(text) == pytest.approx(number)
    assert share.show(share.parse(text)) == text


def test_every_field_that_a_setting_may_name_can_be_logged() -> None:
    assert set(access_fields.FURTHER) == set(seeing_settings.FURTHER_FIELDS)
    upstream = load(
        Settings, {**UPSTREAM, "AMBASSADOR_ACCESS_LOG": "all", "AMBASSADOR_ACCESS_LOG_FIELDS": "status, default"}
    )
    assert upstream.upstreams["default"].access_log_fields == (
        "status",
        *(name for name in seeing_settings.DEFAULT_FIELDS if name != "status"),
    )
