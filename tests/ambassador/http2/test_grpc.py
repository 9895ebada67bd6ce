"""gRPC's rules: tables, properties, and gRPC's own library as the oracle of what we write."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http2 import grpc as rules
from tests.ambassador.http2 import interop_client as client
from tests.ambassador.http2 import raw, raw_server
from tests.ambassador.http2.protobuf import encode
from tests.ambassador.http2.raw_server import Session, serving

CODES = {code.value[0]: code for code in grpc.StatusCode}


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"APPLICATION/GRPC+json", True),
        (b"application/grpc; charset=utf-8", True),
        (b"application/grpc+proto;a=b", True),
        (b"application/grpc-web", False),
        (b"application/grpc-web+proto", False),
        (b"application/grpcx", False),
        (b"application/grp", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_a_call_is_known_by_its_content_type(content_type: bytes, expected: bool) -> None:  # noqa: FBT001 - a column
    assert rules.is_grpc(content_type) is expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"250m", 0.25),
        (b"5u", 5e-6),
        (b"7n", 7e-9),
        (b"99999999H", 99_999_999 * 3600.0),
        (b"0S", 0.0),
        (b"100000000m", None),
        (b"-1S", None),
        (b"1", None),
        (b"S", None),
        (b"1s", None),
        (b"1.5S", None),
        (b" 1S", None),
        (b"", None),
    ],
)
def test_a_timeout_has_at_most_eight_digits_and_a_unit(value: bytes, seconds: float | None) -> None:
    assert rules.parse_timeout(value) == (None if seconds is None else pytest.approx(seconds))


@given(st.floats(0.001, 3e11))
def test_a_timeout_that_is_written_anew_is_never_longer_and_loses_little(seconds: float) -> None:
    written = rules.parse_timeout(rules.format_timeout(seconds))
    assert written is not None
    assert written <= seconds + 1e-6 * seconds
    # From 100,000 s on milliseconds have more than eight digits: then up to a second is lost.
    assert written > seconds - max(0.001, seconds * 1e-5) - 1e-9


@pytest.mark.parametrize(
    ("seconds", "value"),
    [(0.3, b"300m"), (0.0004, b"1m"), (0.0, b"1m"), (-5.0, b"1m"), (1.9999, b"1999m"), (100_000.0, b"100000S")],
)
def test_a_timeout_is_rounded_down_but_to_a_millisecond_at_least(seconds: float, value: bytes) -> None:
    assert rules.format_timeout(seconds) == value


@given(st.text())
def test_a_message_survives_its_escapes_and_is_printable(text: str) -> None:
    escaped = rules.escape_message(text)
    assert all(0x20 <= byte <= 0x7E for byte in escaped)
    assert rules.unescape_message(escaped) == text.encode("utf-8", "replace").decode()


@given(st.binary())
def test_any_bytes_are_some_message(value: bytes) -> None:
    rules.unescape_message(value)


@pytest.mark.parametrize(
    ("value", "status"), [(b"0", 0), (b"16", 16), (b"14", 14), (b"17", 2), (b"00", 2), (b"-1", 2), (b"", 2), (b"x", 2)]
)
def test_a_status_is_a_decimal_that_is_known(value: bytes, status: int) -> None:
    assert rules.parse_status(value) == status


def test_the_names_of_the_statuses_are_those_of_grpc() -> None:
    assert {status: CODES[status].name.lower().replace("_", "-") for status in CODES} == dict(
        enumerate(rules.STATUS_NAMES)
    )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0, 200), (1, 200), (3, 200), (5, 200), (7, 200), (16, 200), (14, 503), (4, 504), (2, 500), (13, 500), (15, 500)],
)
def test_only_statuses_that_are_about_the_endpoint_count_against_it(status: int, outcome: int) -> None:
    assert rules.outcome_class(status) == outcome


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"1500", 1.5),
        (b"-1", rules.NEVER),
        (b"", rules.NEVER),
        (b"1.5", rules.NEVER),
        (b"+1", rules.NEVER),
    ],
)
def test_a_pushback_that_is_no_number_forbids_to_try_again(value: bytes, seconds: float) -> None:
    assert rules.pushback(value) == seconds


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/shop.v1.Orders/GetOrder", True),
        (b"/shop.v1.Orders/GetOrders/x", False),
        (b"/shop.v1.Orders/Put", False),
        (b"/shopXv1.Orders/GetOrder", False),
        (b"/stock.Items/List", True),
        (b"/stock.Items/Lists", False),
        (b"/any.Reader/All", True),
        (b"", False),
    ],
)
def test_patterns_of_methods_stay_within_service_and_method(path: bytes, expected: bool) -> None:  # noqa: FBT001 - a column
    patterns = rules.MethodPatterns(["/shop.v1.Orders/Get*", "/stock.Items/List", "/*Reader/*"])
    assert (path in patterns) is expected
    assert path not in rules.MethodPatterns()


@pytest.mark.parametrize(
    ("service", "request_bytes"), [("", b"\0\0\0\0\0"), ("shop.Orders", b"\0\0\0\0\x0d\n\x0bshop.Orders")]
)
def test_a_health_check_is_one_message(service: str, request_bytes: bytes) -> None:
    assert rules.health_request(service) == request_bytes
    long = "s" * 300
    assert rules.health_request(long)[5:] == encode({1: long.encode()})


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (0, b"\0\0\0\0\x02\x08\x01", ""),
        (0, b"\0\0\0\0\x04\x08\x02\x08\x01", ""),
        (0, b"\0\0\0\0\x02\x08\x02", "it is not serving"),
        (0, b"\0\0\0\0\x00", "the state is unknown"),
        (0, b"\0\0\0\0\x02\x08\x07", "the state is unknown"),
        (0, b"\0\0\0\0\x05\x12\x01a\x08\x01", ""),
        (0, b"", "the answer to the health check is malformed"),
        (0, b"\x01\0\0\0\x02\x08\x01", "the answer to the health check is malformed"),
        (0, b"\0\0\0\0\x03\x08\x01", "the answer to the health check is malformed"),
        (0, b"\0\0\0\0\x02\x12\x7f", "the answer to the health check is malformed"),
        (0, b"\0\0\0\0\x01\x0b", "the answer to the health check is malformed"),
        (0, b"\0\0\0\0\x02\x08\xff", "the answer to the health check is malformed"),
        (12, b"", ""),
        (5, b"", "it does not know the service"),
        (14, b"", "the health check failed with status 14 (unavailable)"),
    ],
)
def test_a_health_check_passes_only_if_the_service_serves_or_there_is_no_such_check(
    status: int, body: bytes, fault: str
) -> None:
    assert rules.health_fault(status, body) == fault


@given(st.binary(max_size=64))
def test_any_answer_to_a_health_check_is_judged(body: bytes) -> None:
    rules.health_fault(0, body)
    rules.health_fault(0, b"\0" + len(body).to_bytes(4, "big") + body)


# -- grpcio as the oracle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["down é", "100 % \u263a", "line\r\nline", "plain", ""])
@pytest.mark.parametrize(
    "status", [rules.UNAVAILABLE, rules.DEADLINE_EXCEEDED, rules.INTERNAL, rules.RESOURCE_EXHAUSTED]
)
def test_grpc_reads_our_only_head_as_it_was_meant(status: int, text: str) -> None:
    fields = rules.trailers_only(status, text, [(b"proxy-status", b"ambassador")])
    with serving(raw_server.trailers_only(fields)) as server, client.channel(server.port) as channel:
        error = client.fails(CODES[status], lambda: client.unary(channel, "EmptyCall", b""))
        assert error.details() == text
        assert ("proxy-status", "ambassador") in error.trailing_metadata()


@pytest.mark.parametrize("code", range(14))
def test_grpc_reads_a_reset_as_the_status_that_is_counted(code: int) -> None:
    def reset(session: Session) -> None:
        while stream := session.request():
            session.send(raw.rst_stream(stream, code))

    with serving(reset) as server, client.channel(server.port, ("grpc.enable_retries", 0)) as channel:
        client.fails(CODES[rules.status_of_reset(code)], lambda: client.unary(channel, "EmptyCall", b""))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 431, 500, 501, 502, 503, 504])
def test_grpc_reads_a_response_without_a_status_as_it_is_counted(status: int) -> None:
    fields = [(b":status", str(status).encode()), (b"content-type", b"text/plain")]
    with serving(raw_server.trailers_only(fields)) as server, client.channel(server.port) as channel:
        client.fails(CODES[rules.status_of_http(status)], lambda: client.unary(channel, "EmptyCall", b""))


@pytest.mark.parametrize("seconds", [0.5, 30.0, 3600.0, 200_000.0])
def test_a_timeout_of_grpc_is_read_as_it_was_set(seconds: float) -> None:
    seen: list[Any] = []

    def handle(session: Session) -> None:
        while stream := session.request():
            seen.append(rules.parse_timeout(dict(session.heads[stream])[b"grpc-timeout"]))
            session.respond(stream, b"")

    with serving(handle) as server, client.channel(server.port) as channel:
        client.unary(channel, "EmptyCall", b"", timeout=seconds)
    assert len(seen) == 1
    assert math.isclose(seen[0], seconds, rel_tol=0.05, abs_tol=0.2)
