"""Hedges on fake transports: what each of the two attempts may do, in each order, and what is left afterwards."""

from __future__ import annotations

from typing import cast

import pytest

from sidecars.ambassador.admission.admission_queue import Queued
from sidecars.ambassador.config.beside_settings import MOST_HEDGES
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.routed.tables import add_routes
from tests.ambassador.exchanges import Wire
from tests.ambassador.proxy.beside.pairs import HedgingPair, companion_of, hedges, is_closed, response, written

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
KEYED = b"POST /a HTTP/1.1\r\nHost: a\r\nIdempotency-Key: 1\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("request_", [GET, PUT, KEYED])
def test_the_hedge_sends_the_same_request_elsewhere_and_its_response_is_taken(request_: bytes) -> None:
    with HedgingPair() as pair:
        first, endpoint = pair.ask(request_)
        second = pair.let_hedge(first)
        assert second is not None
        assert second.endpoint is not endpoint
        assert written(second).partition(b"Host: ")[0] == written(first).partition(b"Host: ")[0]
        assert written(second).partition(b"\r\n\r\n")[2] == written(first).partition(b"\r\n\r\n")[2]
        second.data_received(response())
        assert pair.app.written.endswith(b"\r\n\r\nhello")
        assert is_closed(first)
        assert not is_closed(second)
        assert hedges(pair.upstream) == {"won": 1}
        assert (endpoint.failures, endpoint.ejection.consecutive_failures, pair.pending) == (0, 0, [0, 0])
        assert pair.upstream.pool.idle.of(second.endpoint) == [second]


def test_the_first_response_is_taken_if_it_comes_before_that_of_the_hedge() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        first.data_received(response(body=b"first"))
        assert pair.app.written.endswith(b"\r\n\r\nfirst")
        assert is_closed(second)
        assert (second.endpoint.failures, pair.pending) == (0, [0, 0])
        assert hedges(pair.upstream) == {"lost": 1}
        assert pair.client.exchange is None
        pair.client.data_received(GET)
        assert pair.client.exchange is not None


@pytest.mark.parametrize("wins", [0, 1])
def test_addresses_are_rewritten_by_the_host_of_the_endpoint_that_has_responded(wins: int) -> None:
    with HedgingPair(AMBASSADOR_UPSTREAM="http://orders/api") as pair:
        add_routes(pair.upstream, [pair.upstream])
        for number, endpoint in enumerate(pair.upstream.endpoints):
            endpoint.host = b"orders-%d" % number  # as SRV records name them
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        winner = (first, second)[wins]
        winner.data_received(
            b"HTTP/1.1 302 Found\r\nLocation: http://%b/api/b\r\nContent-Length: 0\r\n\r\n" % winner.endpoint.host
        )
        assert b"\r\nLocation: http://a/b\r\n" in pair.app.written


def test_a_response_streams_through_the_hedge_to_its_end() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        second.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab")
        pair.client.pause_writing()
        assert isinstance(second.transport, Wire)
        assert second.transport.paused
        pair.client.resume_writing()
        second.data_received(b"cdef")
        assert pair.app.written.startswith(b"HTTP/1.1 200")
        assert pair.app.written.endswith(b"\r\n\r\nabcdef")
        assert pair.upstream.pool.idle.of(second.endpoint) == [second]


def test_a_response_that_breaks_off_after_the_hedge_has_won_breaks_off_for_the_app() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        second.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab")
        second.connection_lost(None)
        assert pair.app.closing
        assert pair.pending == [0, 0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hedge_whose_response_is_a_failure_loses_and_the_first_attempt_goes_on(status: int) -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        second.data_received(response(status))
        assert pair.app.written == b""
        first.data_received(response(body=b"first"))
        assert pair.app.written.endswith(b"\r\n\r\nfirst")
        assert hedges(pair.upstream) == {"failed": 1}
        assert pair.pending == [0, 0]


def test_a_hedge_whose_connection_breaks_is_its_endpoints_failure_and_no_other_hedge_follows() -> None:
    with HedgingPair(endpoints=3) as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        second.connection_lost(ConnectionResetError())
        assert second.endpoint.failures == 1
        assert pair.let_hedge(first) is None
        first.data_received(response(body=b"first"))
        assert pair.app.written.endswith(b"\r\n\r\nfirst")
        assert hedges(pair.upstream) == {"failed": 1}


@pytest.mark.parametrize("how", ["lost", "503"])
def test_if_the_first_attempt_fails_the_hedge_is_its_retry_and_is_not_paid_twice(how: str) -> None:
    with HedgingPair(endpoints=3) as pair:
        first, endpoint = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        left = pair.upstream.budget.saved
        if how == "lost":
            first.connection_lost(ConnectionResetError())
        else:
            first.data_received(response(503))
        assert pair.app.written == b""
        second.data_received(response(body=b"second"))
        assert pair.app.written.endswith(b"\r\n\r\nsecond")
        assert endpoint.failures == 1
        assert (pair.upstream.counters.retries, pair.upstream.budget.saved) == (0, left)
        assert (hedges(pair.upstream), pair.pending) == ({"won": 1}, [0, 0, 0])


def test_if_both_attempts_fail_the_request_is_retried_at_a_third_endpoint() -> None:
    with HedgingPair(endpoints=3) as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        first.connection_lost(ConnectionResetError())
        second.connection_lost(ConnectionResetError())
        (third,) = (each for each in pair.connections.values() if each not in (first, second))
        assert written(third).startswith(b"GET /a ")
        third.data_received(response(body=b"third"))
        assert pair.app.written.endswith(b"\r\n\r\nthird")


def test_an_app_that_leaves_ends_both_attempts() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        pair.client.connection_lost(None)
        assert is_closed(first)
        assert is_closed(second)
        assert (hedges(pair.upstream), pair.pending) == ({"abandoned": 1}, [0, 0])
        assert [endpoint.failures for endpoint in pair.upstream.endpoints] == [0, 0]


def test_the_time_of_the_request_ends_both_attempts() -> None:
    with HedgingPair(AMBASSADOR_TIMEOUT="1s") as pair:
        first, _ = pair.ask(GET)
        second = pair.let_hedge(first)
        assert second is not None
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.tick(exchange.started + 2.0)
        assert pair.app.written.startswith(b"HTTP/1.1 504")
        assert is_closed(second)
        assert pair.pending == [0, 0]


NOT_HEDGED = {
    "not idempotent": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "with a precondition": b"PUT /a HTTP/1.1\r\nHost: a\r\nIf-Match: 1\r\nContent-Length: 5\r\n\r\nhello",
    "not whole": PUT[:-1],
    "an upgrade": b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("request_", NOT_HEDGED.values(), ids=NOT_HEDGED)
def test_a_request_that_may_not_be_sent_twice_is_not_hedged(request_: bytes) -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(request_)
        assert pair.let_hedge(first) is None
        assert hedges(pair.upstream) == {}


def test_a_body_that_is_not_held_any_more_is_not_hedged() -> None:
    with HedgingPair(AMBASSADOR_RETRY_BUFFER="4") as pair:
        first, _ = pair.ask(PUT)
        assert pair.let_hedge(first) is None


def test_a_response_that_has_begun_is_not_hedged() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        first.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        assert pair.let_hedge(first) is None


def test_there_is_no_hedge_without_another_endpoint_that_is_ready() -> None:
    with HedgingPair() as pair:
        first, endpoint = pair.ask(GET)
        (other,) = (each for each in pair.upstream.endpoints if each is not endpoint)
        pair.upstream.balancer.on_failure(other, 0.0, pair.client.since, unreachable=True)
        assert pair.let_hedge(first) is None


def test_there_is_no_hedge_in_panic() -> None:
    with HedgingPair(endpoints=3) as pair:
        first, _ = pair.ask(GET)
        pair.upstream.balancer.in_panic = True
        assert pair.let_hedge(first) is None


def test_there_is_no_hedge_while_requests_wait_in_the_queue() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)

        class Waiting:
            over = False

            def start(self, now: float) -> None:
                raise AssertionError(now)

        pair.upstream.admission._waiting.append(cast(Queued, Waiting()))
        assert pair.let_hedge(first) is None


def test_hedges_keep_to_the_limit_of_requests() -> None:
    for most in (1, 2):
        with HedgingPair(AMBASSADOR_MAX_REQUESTS=f"{most}") as pair:
            first, _ = pair.ask(GET)
            assert (pair.let_hedge(first) is not None) is (most == 2)


def test_hedges_leave_half_of_the_budget_for_retries() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        pair.upstream.budget.saved = pair.upstream.budget.most / 2
        assert pair.let_hedge(first) is None
        assert hedges(pair.upstream) == {"unpaid": 1}
        assert pair.upstream.budget.spend()


def test_the_number_of_hedges_under_way_has_a_bound() -> None:
    with HedgingPair() as pair:
        hedging = companion_of(pair.upstream).hedging
        assert hedging is not None
        first, _ = pair.ask(GET)
        hedging.under_way = MOST_HEDGES
        assert pair.let_hedge(first) is None
        assert hedges(pair.upstream) == {"unpaid": 1}


def test_a_hedge_is_paid_from_the_budget() -> None:
    with HedgingPair() as pair:
        first, _ = pair.ask(GET)
        before = pair.upstream.budget.saved
        assert pair.let_hedge(first) is not None
        assert pair.upstream.budget.saved == before - 1
        assert pair.upstream.counters.retries == 0


def test_the_wait_for_hedges_keeps_no_request_that_is_over() -> None:
    with HedgingPair() as pair:
        watched = companion_of(pair.upstream).hedging
        assert watched is not None
        for _ in range(2000):
            first, _ = pair.ask(GET)
            first.data_received(response())
        assert len(watched._watched) <= 256
        assert pair.let_hedge(first) is None
        assert not watched._watched
        assert watched.under_way == 0


def test_two_connections_of_the_app_have_their_hedges_in_the_order_of_their_requests() -> None:
    with HedgingPair(endpoints=4) as pair:
        other = ClientConnection(pair.upstream)
        other.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
        pair.ask(GET)
        other.data_received(GET)
        pair.loop.run_until_complete(_pause())
        assert [len(written(each).split(b"GET ")) - 1 for each in pair.connections.values()] == [1, 1, 1, 1]
        other.abort()


async def _pause() -> None:
    import asyncio  # noqa: PLC0415 - for this alone

    await asyncio.sleep(0.005)
