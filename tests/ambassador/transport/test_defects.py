"""A defect in handling one message: its traceback is logged once, it is counted, and only its exchange ends."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from sidecars.ambassador.discovery.dns_refresh import keep_refreshed
from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.upstream import access_log
from tests.ambassador.exchanges import Pair, Wire
from tests.ambassador.support import answering, backends
from tests.support import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def broken(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("a defect of a test")


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info]


def test_a_defect_before_the_try_is_a_500_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with Pair() as pair:
        pair.upstream.hash_key = broken
        for number in range(1, 4):
            pair.client.data_received(GET)
            pair.loop.run_until_complete(asyncio.sleep(0))
            assert pair.app.written.startswith(b"HTTP/1.1 500 ")
            assert pair.app.written.count(b"error=proxy_internal_error") == number
            assert pair.upstream.defects.count == number
        assert len(tracebacks(caplog)) == 1
        pair.upstream.hash_key = None
        pair.client.data_received(GET)
        pair.connection.data_received(OK)
        assert pair.app.written.endswith(OK[-2:])
        assert {error: count for error, count in pair.upstream.counters.errors.items() if count} == {
            "proxy_internal_error": 3
        }
        assert pair.endpoint.failures == 0
        assert pair.upstream.admission.under_way == 0


def test_a_defect_in_understanding_a_request_is_a_500_and_the_last_answer_of_its_connection() -> None:
    class BrokenAuthorities(set[bytes]):
        __contains__ = broken

    with Pair() as pair:
        pair.upstream.request_parser.authorities = BrokenAuthorities()
        pair.client.data_received(b"GET http://orders/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert pair.app.written.startswith(b"HTTP/1.1 500 ")
        assert b"error=proxy_internal_error" in pair.app.written
        assert pair.app.ended
        assert pair.upstream.defects.count == 1
        assert not pair.there.written


def test_a_defect_in_what_is_done_beside_an_answer_does_not_hold_it_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "log", SimpleNamespace(info=broken))
    with Pair(AMBASSADOR_ACCESS_LOG="all") as pair:
        for number in range(1, 4):
            pair.client.data_received(GET)
            pair.connection.data_received(OK)
            assert pair.app.written.count(b"\r\n\r\nok") == number
        assert pair.upstream.defects.count == 3
        assert len(tracebacks(caplog)) == 1


def test_a_defect_in_judging_a_failed_answer_lets_the_answer_through() -> None:
    with Pair(AMBASSADOR_EJECT_AFTER="1", AMBASSADOR_MAX_EJECTED="100%") as pair:
        pair.upstream.balancer._on_state_change = broken
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 503 Away\r\nContent-Length: 4\r\n\r\nbad\n")
        assert pair.app.written.startswith(b"HTTP/1.1 503 Away\r\n")
        assert pair.app.written.endswith(b"bad\n")
        assert pair.upstream.defects.count == 1


def test_a_defect_in_sending_a_request_is_a_500_and_costs_its_connection() -> None:
    with Pair() as pair:
        pair.there.on_write = broken
        pair.client.data_received(GET)
        assert pair.app.written.startswith(b"HTTP/1.1 500 ")
        assert pair.there.aborted
        assert pair.endpoint.pending == 0
        assert pair.endpoint.failures == 0


def test_a_defect_in_passing_an_answer_on_breaks_the_apps_connection_and_no_other() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.app.on_write = broken
        pair.connection.data_received(OK)
        assert pair.app.aborted
        assert pair.upstream.defects.count >= 1
        assert pair.endpoint.pending == 0
        assert pair.upstream.admission.under_way == 0


def test_a_defect_in_the_middle_of_an_answer_breaks_it_off() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        pair.app.on_write = broken
        pair.connection.data_received(b"more")
        assert pair.app.closing
        assert pair.there.aborted
        assert pair.endpoint.pending == 0


def test_a_defect_at_a_tick_ends_the_connection_it_is_about_and_the_tick_goes_on() -> None:
    class BrokenWire(Wire):
        def get_write_buffer_size(self) -> int:
            return int(broken())

    with Pair() as pair:
        other = pair.client
        broken_wire = pair.client.transport = BrokenWire()
        pair.upstream.tick(other.since + 0.1)
        pair.upstream.tick(other.since + 10.0)
        assert pair.upstream.defects.count >= 1
        assert broken_wire.aborted


class Resolver:
    """Fails with a defect at first, and then returns addresses."""

    def __init__(self) -> None:
        self.asked = 0

    async def lookup(self, _host: str) -> DnsAnswer:
        self.asked += 1
        if self.asked < 3:
            broken()
        return DnsAnswer((ResolvedAddress("10.0.0.9"),), 60.0)

    lookup_srv = lookup


def test_a_defect_in_a_lookup_leaves_what_was_known_and_is_followed_by_another_one() -> None:
    with Pair(AMBASSADOR_DNS_MIN_TTL="100ms") as pair:
        resolver = Resolver()

        async def until_responded() -> None:
            task = asyncio.create_task(
                keep_refreshed(
                    pair.upstream, pair.upstream.dns_targets[0], resolver, pair.upstream.settings.dns_min_ttl
                )
            )
            while resolver.asked < 3:
                assert [each.ip for each in pair.upstream.endpoints] == ["10.0.0.1"]
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

        pair.loop.run_until_complete(asyncio.wait_for(until_responded(), 30))
        assert [each.ip for each in pair.upstream.endpoints] == ["10.0.0.9"]
        assert pair.upstream.defects.count == 2
        assert pair.upstream.lookup_failures == 2


def test_a_name_that_tls_cannot_ask_for_is_a_cause_and_no_defect() -> None:
    with backends(answering()) as (backend,), Pair(AMBASSADOR_UPSTREAM="https://orders") as pair:
        pair.loop.close()
        pair.loop = pair.upstream.pool.loop = uvloop.new_event_loop()
        pair.endpoint.ip, pair.endpoint.port, pair.endpoint.server_name = "127.0.0.1", backend.port, "a..b"
        made = pair.loop.run_until_complete(pair.upstream.pool.connect(pair.endpoint, asyncio.Protocol))
        assert isinstance(made, local_replies.Cause)
        assert made.error_type == "tls_protocol_error"
        assert pair.upstream.defects.count == 0


def test_a_defect_in_connecting_ends_the_exchange_that_waits() -> None:
    with Pair() as pair:
        pair.idle.clear()
        object.__setattr__(pair.upstream.settings, "connect_timeout", "what is no time")
        responded = asyncio.Event()
        pair.app.on_write = responded.set
        pair.client.data_received(GET)
        pair.loop.run_until_complete(asyncio.wait_for(responded.wait(), PATIENCE))
        assert pair.app.written.startswith(b"HTTP/1.1 500 ")
        assert pair.upstream.defects.count == 1
