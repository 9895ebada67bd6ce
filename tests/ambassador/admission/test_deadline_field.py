"""The field of DEADLINE_HEADER: what is read of it, and what each attempt is told, in both versions of HTTP."""

from __future__ import annotations

import time

import pytest

from sidecars.ambassador.admission.deadline_field import DeadlineField
from sidecars.ambassador.http.header_edits import combine_edits
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import RequestParser
from tests.ambassador.exchanges import Pair

FIELD = DeadlineField("X-Timeout-Ms", 60.0, None)


def parsed(*lines: bytes) -> Request:
    parser = RequestParser((), combine_edits(None, taken=frozenset({b"x-timeout-ms"})))
    head = b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *lines))
    return parser.parse(head, len(head))


@pytest.mark.parametrize(
    ("lines", "deadline"),
    [
        ([b"X-Timeout-Ms: 500"], 100.5),
        ([b"x-timeout-ms: 0"], 100.0),
        ([b"X-TIMEOUT-MS: 999999999"], 100.0 + 999999.999),
        ([], 0.0),
        ([b"X-Timeout-Ms: 1500ms"], 0.0),
        ([b"X-Timeout-Ms: -1"], 0.0),
        ([b"X-Timeout-Ms: 0.5"], 0.0),
        ([b"X-Timeout-Ms: 1e3"], 0.0),
        ([b"X-Timeout-Ms: 9999999999"], 0.0),
        ([b"X-Timeout-Ms:"], 0.0),
        ([b"X-Timeout-Ms: 500", b"X-Timeout-Ms: 400"], 0.0),
        ([b"X-Timeout-Ms: 500, 400"], 0.0),
    ],
)
def test_a_whole_number_of_milliseconds_is_a_deadline_and_nothing_else(lines: list[bytes], deadline: float) -> None:
    assert FIELD.deadline(parsed(*lines), 100.0) == pytest.approx(deadline)


@pytest.mark.parametrize(
    ("timeout", "total", "deadline", "told"),
    [
        (9000.0, None, 5000.0, 5_000_000),
        (9000.0, None, 0.0, 9_000_000),
        (1000.0, None, 5000.0, 1_000_000),
        (9000.0, 2000.0, 0.0, 2_000_000),
    ],
)
def test_an_attempt_is_told_what_is_left(timeout: float, total: float | None, deadline: float, told: int) -> None:
    now = time.monotonic()
    line = DeadlineField("X-Timeout-Ms", timeout, total).line(parsed(), now + deadline if deadline else 0.0, now)
    name, _, value = line.partition(b": ")
    assert name == b"\r\nX-Timeout-Ms"
    assert told - 600_000 < int(value) <= told


def test_an_attempt_after_the_deadline_is_told_one_millisecond_since_none_may_mean_no_limit() -> None:
    now = time.monotonic()
    assert FIELD.line(parsed(), now - 1.0, now - 5.0) == b"\r\nX-Timeout-Ms: 1"


def test_the_app_gets_504_when_its_deadline_has_passed_and_the_endpoint_is_not_blamed() -> None:
    with Pair(AMBASSADOR_DEADLINE_HEADER="X-Timeout-Ms") as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX-Timeout-Ms: 500\r\nX-More: 1\r\n\r\n")
        sent = pair.there.written
        assert sent.lower().count(b"\r\nx-timeout-ms: ") == 1
        assert b"\r\nX-More: 1\r\n" in sent
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.tick(exchange.started + 0.4)
        assert not pair.app.written
        exchange.tick(exchange.started + 0.6)
        assert pair.app.written.startswith(b"HTTP/1.1 504 ")
        assert b"the deadline of the app has passed" in pair.app.written
        assert pair.there.aborted
        assert pair.endpoint.ejection.consecutive_failures == 0
        assert pair.upstream.admission.under_way == 0


def test_a_response_that_has_begun_goes_on() -> None:
    with Pair(AMBASSADOR_DEADLINE_HEADER="X-Timeout-Ms") as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX-Timeout-Ms: 500\r\n\r\n")
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.tick(exchange.started + 5.0)
        pair.connection.data_received(b"k")
        assert pair.app.written.endswith(b"ok")


def test_without_the_setting_the_field_is_passed_on_as_it_is() -> None:
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX-Timeout-Ms: 500\r\n\r\n")
        assert b"\r\nX-Timeout-Ms: 500\r\n" in pair.there.written
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.tick(exchange.started + 5.0)
        assert not pair.app.written
