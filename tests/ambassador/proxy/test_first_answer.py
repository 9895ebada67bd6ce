"""Requests that come before the first answer of DNS wait for it, and for no longer than they may."""

from __future__ import annotations

from types import SimpleNamespace

from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.upstream.upstream import Upstream
from tests.ambassador.exchanges import Pair
from tests.ambassador.support import GET

ANSWER = DnsAnswer((ResolvedAddress("10.0.0.1"),), 5.0)


def forget(pair: Pair) -> None:
    """Make the upstream as it is before the first answer, but for the idle connection of the endpoint to come."""
    (target,) = pair.upstream.dns_targets
    target.leaving, target.endpoints, target.answered_at = target.endpoints, {}, None
    pair.upstream.balancer.update((), [pair.endpoint], 0.0)


def turn(pair: Pair) -> None:
    """Run what the event loop has to do now."""
    pair.loop.call_soon(pair.loop.stop)
    pair.loop.run_forever()


def answer(upstream: Upstream, now: float) -> None:
    upstream.on_dns_answer(upstream.dns_targets[0], ANSWER, now)


def test_a_request_waits_for_the_first_answer_and_then_goes_on() -> None:
    with Pair() as pair:
        forget(pair)
        pair.client.data_received(GET)
        turn(pair)
        assert (pair.app.written, pair.there.written) == (b"", b"")
        answer(pair.upstream, 1.0)
        turn(pair)
        assert pair.there.written.startswith(b"GET / HTTP/1.1\r\nHost: orders\r\n")


def test_a_first_look_up_that_fails_is_a_503_for_those_that_wait_and_those_that_come() -> None:
    with Pair() as pair:
        forget(pair)
        pair.client.data_received(GET)
        pair.upstream.on_dns_failure(pair.upstream.dns_targets[0], "the name does not exist")
        turn(pair)
        assert pair.app.written.startswith(b"HTTP/1.1 503 ")
        assert b"error=dns_error" in pair.app.written
        turn(pair)
        pair.app.written = b""
        pair.client.data_received(GET)
        assert pair.app.written.startswith(b"HTTP/1.1 503 ")


def test_the_wait_ends_with_the_time_of_the_request() -> None:
    for settings in ({"AMBASSADOR_TIMEOUT": "3s"}, {"AMBASSADOR_TOTAL_TIMEOUT": "3s"}):
        with Pair(**settings) as pair:
            forget(pair)
            pair.client.data_received(GET)
            pair.client.tick(pair.client.since + 2.0)
            assert pair.app.written == b""
            pair.client.tick(pair.client.since + 4.0)
            assert pair.app.written.startswith(b"HTTP/1.1 504 ")
            assert b"DNS has not given the upstream an address in time" in pair.app.written
            answer(pair.upstream, 5.0)
            turn(pair)
            assert pair.there.written == b""


def test_no_more_than_max_pending_requests_wait() -> None:
    with Pair(AMBASSADOR_MAX_PENDING="2") as pair:
        forget(pair)
        upstream, went_on = pair.upstream, []
        waiter = SimpleNamespace(over=False)
        assert upstream.await_address(waiter, lambda: went_on.append(1)) is None
        assert upstream.await_address(waiter, lambda: went_on.append(2)) is None
        pair.client.data_received(GET)
        assert pair.app.written.startswith(b"HTTP/1.1 503 ")
        assert b"error=connection_limit_reached" in pair.app.written
        answer(upstream, 1.0)
        turn(pair)
        assert went_on == [1, 2]


def test_requests_whose_app_has_left_or_whose_time_is_over_do_not_count_for_max_pending() -> None:
    for ends in ("the app leaves", "its time is over"):
        with Pair(AMBASSADOR_MAX_PENDING="1", AMBASSADOR_TIMEOUT="3s") as pair:
            forget(pair)
            pair.client.data_received(GET)
            if ends == "the app leaves":
                pair.client.connection_lost(None)
            else:
                pair.client.tick(pair.client.since + 4.0)
            next_one = SimpleNamespace(over=False)
            assert pair.upstream.await_address(next_one, lambda: None) is None
            assert pair.upstream.await_address(next_one, lambda: None) is not None


def test_an_app_that_leaves_while_it_waits_costs_the_endpoint_nothing() -> None:
    with Pair() as pair:
        forget(pair)
        pair.client.data_received(GET)
        pair.client.connection_lost(None)
        answer(pair.upstream, 1.0)
        turn(pair)
        assert pair.there.written == b""
        assert (pair.endpoint.attempts, pair.upstream.admission.under_way) == (0, 0)


def test_one_of_two_targets_that_answers_is_enough_and_one_that_fails_is_waited_out() -> None:
    with Pair(AMBASSADOR_UPSTREAM="http://orders,http://more") as pair:
        first, second = pair.upstream.dns_targets
        forget_first = {"leaving": first.endpoints, "endpoints": {}, "answered_at": None}
        vars(first).update(forget_first)
        pair.upstream.balancer.update((), [pair.endpoint], 0.0)
        pair.client.data_received(GET)
        pair.upstream.on_dns_failure(second, "no answer in time")
        turn(pair)
        assert (pair.app.written, pair.there.written) == (b"", b"")
        pair.upstream.on_dns_answer(first, ANSWER, 1.0)
        turn(pair)
        assert pair.there.written.startswith(b"GET / ")
