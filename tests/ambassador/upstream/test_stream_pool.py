"""The few connections of HTTP/2 to an endpoint: who gets a stream, and when a connection is opened and closed."""

from __future__ import annotations

import asyncio
import os
from typing import cast
from unittest.mock import MagicMock

import pytest

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http2 import frames
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.http2.endpoint_connection import EndpointConnection
from sidecars.ambassador.upstream.http2.endpoint_stream import EndpointStream
from sidecars.ambassador.upstream.http2.stream_pool import StreamPool
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, UpstreamSide
from sidecars.ambassador.upstream.write_round import WriteRound
from tests.ambassador.balancing_support import settings
from tests.ambassador.http2_support import GET, block
from tests.ambassador.http2_support import settings as settings_frame

pytestmark = pytest.mark.skipif(
    os.environ.get("FORM") == "compiled",
    reason="its attempts are stand-ins, which a compiled pool does not take; the program's tests run it in both forms",
)


class Waiter:
    """An attempt that waits, as far as the pool uses it."""

    def __init__(self) -> None:
        self.over = False
        self.side: EndpointStream | None = None
        self.cause: Cause | None = None
        self.has_elsewhere = False

    def may_go_elsewhere(self) -> bool:
        return self.has_elsewhere

    def on_connected(self, connection: UpstreamSide) -> None:
        assert isinstance(connection, EndpointStream)
        self.side = connection
        core = connection._carrier.core
        connection.stream = core.open_stream(block(GET), connection, end=True, is_head=False)

    def on_connect_failed(self, cause: Cause) -> None:
        self.cause = cause

    def fail(self, error: Exception) -> None:
        raise error


class World:
    """A pool whose connections open when the test says so."""

    def __init__(self, most: int = 8) -> None:
        self.endpoint = Endpoint(b"orders", "192.0.2.1", 80, http2=True)
        self.asked = 0
        self.now = 0.0
        self.pool = StreamPool(self._open, 60.0, most)
        self.round = WriteRound(lambda _call: None)
        self.opened: list[EndpointConnection] = []

    def _open(self, endpoint: Endpoint) -> None:
        assert endpoint is self.endpoint
        self.asked += 1

    def open(self, limit: int | None = None, waiter: Waiter | None = None) -> EndpointConnection:
        """Open the connection that was asked for; the endpoint allows so many streams, or has not told (None)."""
        made = EndpointConnection(
            settings(), self.endpoint, self.pool, Counters(), BufferMemory(1 << 24, 65_536), self.round, Defects()
        )
        transport = MagicMock()
        transport.is_closing.return_value = False
        transport.close.side_effect = lambda: transport.is_closing.configure_mock(return_value=True)
        made.connection_made(cast("asyncio.BaseTransport", transport))
        self.opened.append(made)
        self.pool.on_opened(made, cast("ConnectionWaiter | None", waiter))
        if limit is not None:
            made.data_received(settings_frame((3, limit)))
        return made

    def wait(self) -> Waiter:
        waiter = Waiter()
        self.pool.wait(self.endpoint, cast("ConnectionWaiter", waiter))
        return waiter


@pytest.fixture
def world() -> World:
    return World()


def served(waiters: list[Waiter]) -> list[bool]:
    return [waiter.side is not None for waiter in waiters]


def test_attempts_that_come_together_open_one_connection_and_share_it(world: World) -> None:
    waiters = [world.wait() for _ in range(5)]
    assert world.asked == 1
    made = world.open()
    assert served(waiters) == [True, False, False, False, False]  # one stream before the first SETTINGS
    made.data_received(settings_frame())
    assert served(waiters) == [True] * 5
    assert world.pool.waiting == 0
    assert world.asked == 1


def test_another_connection_is_opened_when_all_have_as_many_streams_as_they_may_and_at_most_eight(world: World) -> None:
    waiters = [world.wait() for _ in range(20)]
    for number in range(1, 9):
        assert world.asked == number
        world.open(limit=2)
    assert world.asked == 8
    assert served(waiters) == [True] * 16 + [False] * 4
    assert waiters[0].side is not None
    waiters[0].side.drop()
    assert served(waiters) == [True] * 17 + [False] * 3


def test_more_than_eight_connections_are_opened_for_as_many_streams_as_the_upstream_admits() -> None:
    world = World(most=30)
    waiters = [world.wait() for _ in range(1000)]
    while world.asked > len(world.opened):
        world.open(limit=25)
    assert world.asked == 30
    assert served(waiters) == [True] * 750 + [False] * 250
    for waiter in waiters[:250]:
        assert waiter.side is not None
        waiter.side.drop()
    assert served(waiters) == [True] * 1000
    assert world.asked == 30


def test_after_many_streams_a_connection_with_room_is_found_again(world: World) -> None:
    waiters = [world.wait() for _ in range(16)]
    while world.asked > len(world.opened):
        world.open(limit=2)
    assert world.pool.take(world.endpoint) is None
    first = waiters[0].side
    assert first is not None
    carrier = first._carrier
    first.drop()
    taken = world.pool.take(world.endpoint)
    assert taken is not None
    assert taken._carrier is carrier


def test_an_endpoint_that_allows_no_stream_gets_three_connections_and_its_attempts_go_elsewhere(world: World) -> None:
    waiters = [world.wait() for _ in range(5)]
    stays, goes = waiters[3:]
    goes.has_elsewhere = True
    while world.asked > len(world.opened):
        made = world.open(limit=0)
    assert served(waiters) == [True, True, True, False, False]  # one stream each before the first SETTINGS
    world.pool.tick(0.0)
    assert goes.cause is not None
    assert goes.cause.unprocessed
    assert stays.cause is None
    late = Waiter()
    late.has_elsewhere = True
    world.pool.wait(world.endpoint, cast("ConnectionWaiter", late))
    assert late.cause is not None
    assert world.asked == 3
    made.data_received(settings_frame((3, 10)))
    assert stays.side is not None


def test_at_the_limit_of_connections_an_attempt_goes_to_another_endpoint(world: World) -> None:
    waiters = [world.wait() for _ in range(16)]
    while world.asked > len(world.opened):
        world.open(limit=2)
    assert served(waiters) == [True] * 16
    late, stays = Waiter(), world.wait()
    late.has_elsewhere = True
    world.pool.wait(world.endpoint, cast("ConnectionWaiter", late))
    assert late.cause is not None
    assert stays.cause is None


def test_the_connection_with_the_fewest_streams_is_taken(world: World) -> None:
    waiters = [world.wait() for _ in range(3)]
    first = world.open(limit=2)
    second = world.open(limit=5)
    assert served(waiters) == [True] * 3
    taken = world.pool.take(world.endpoint)
    assert taken is not None
    assert taken._carrier is second
    assert first.core.busy == 2


def test_an_attempt_that_is_over_gets_no_stream(world: World) -> None:
    first, second = world.wait(), world.wait()
    first.over = True
    world.open(limit=1)
    assert served([first, second]) == [False, True]


def test_a_connection_that_does_not_open_fails_those_that_wait_unless_others_are_there(world: World) -> None:
    waiter = world.wait()
    world.pool.on_open_failed(world.endpoint, local_replies.CONNECTION_REFUSED)
    assert waiter.cause is local_replies.CONNECTION_REFUSED
    first, second = world.wait(), world.wait()
    world.open(limit=1)
    world.pool.on_open_failed(world.endpoint, local_replies.CONNECTION_REFUSED)
    assert second.cause is None
    assert first.side is not None
    first.side.drop()
    assert second.side is not None


def test_a_goaway_opens_the_next_connection_before_it_is_needed_and_the_old_one_closes_with_its_last_stream(
    world: World,
) -> None:
    waiter = world.wait()
    made = world.open(limit=10)
    made.data_received(frames.goaway_frame(2**31 - 1, 0, "max_age"))
    assert world.asked == 2
    assert world.pool.take(world.endpoint) is None
    assert not made.transport.is_closing()
    assert waiter.side is not None
    waiter.side.drop()
    assert made.transport.is_closing()
    world.open(limit=10)
    assert world.pool.take(world.endpoint) is not None


def test_an_endpoint_that_sends_goaway_at_once_gets_no_further_connection_before_it_is_needed(world: World) -> None:
    waiter = world.wait()
    made = world.open(limit=10)
    made.data_received(frames.goaway_frame(2**31 - 1, 0, "max_age"))
    assert world.asked == 2
    world.open(limit=10).data_received(frames.goaway_frame(0, 0, "drains"))
    assert world.asked == 2
    assert waiter.side is not None
    world.wait()
    assert world.asked == 3


def test_a_connection_without_settings_is_lost_after_the_timeout(world: World) -> None:
    """One that hangs before its SETTINGS would keep its first attempt for ever, and the others would wait for it."""
    first, second = world.wait(), world.wait()
    made = world.open()
    world.pool.tick(made.idle_since + 1.0)
    world.pool.tick(made.idle_since + 59.0)
    assert not made.transport.is_closing()
    world.pool.tick(made.idle_since + 62.0)
    assert made.transport.is_closing()
    made.connection_lost(None)
    assert served([first, second]) == [True, False]
    assert world.asked == 2
    world.open(limit=1)
    assert second.side is not None


def test_a_head_that_never_ends_ends_its_connection_after_the_timeout(world: World) -> None:
    world.wait()
    made = world.open(limit=10)
    made.data_received(frames.frame_head(1, frames.HEADERS, 0, 1) + b"\x88")  # without END_HEADERS
    now = made.idle_since
    world.pool.tick(now + 1.0)
    world.pool.tick(now + 59.0)
    assert not made.transport.is_closing()
    world.pool.tick(now + 62.0)
    assert made.transport.is_closing()


def test_the_pings_of_an_endpoint_end_no_connection_however_long_its_streams_are_quiet(world: World) -> None:
    world.wait()
    made = world.open(limit=10)
    for number in range(3000):
        made.data_received(frames.ping_frame(b"keepaliv", ack=False))
        made.core.output()
        world.pool.tick(made.idle_since + 2.0 * number)
    assert not made.core.is_broken


def test_a_connection_whose_ids_are_used_up_opens_no_further_stream(world: World) -> None:
    world.wait()
    made = world.open(limit=10)
    made.core.highest_id = 2**31 - 2**20 + 1
    assert world.pool.take(world.endpoint) is None
    world.wait()
    assert world.asked == 2


def test_a_removed_endpoint_gets_no_further_stream_and_its_idle_connections_close(world: World) -> None:
    waiters = [world.wait(), world.wait()]
    made = world.open(limit=1)
    world.endpoint.remove(0.0)
    world.pool.leave(world.endpoint)
    assert waiters[1].cause is not None
    assert waiters[1].cause.unprocessed
    assert waiters[1].cause.own_fault
    assert world.pool.take(world.endpoint) is None
    assert not made.transport.is_closing()
    assert waiters[0].side is not None
    waiters[0].side.drop()
    assert made.transport.is_closing()


def test_a_lost_connection_tells_the_pool_and_those_that_wait_get_another_one(world: World) -> None:
    waiters = [world.wait(), world.wait()]
    made = world.open(limit=1)
    made.connection_lost(None)
    assert world.asked == 2  # it is opening already, since the first one was full
    world.open(limit=1)
    assert served(waiters) == [True, True]
    assert world.endpoint.connections == 1


def test_a_surplus_connection_of_a_handshake_race_is_closed_and_its_attempt_served(world: World) -> None:
    """Nobody knew yet that the endpoint selects HTTP/2: each attempt had opened a connection of its own."""
    first, second = Waiter(), Waiter()
    kept = world.open(limit=10, waiter=first)
    surplus = world.open(waiter=second)
    assert surplus.transport.is_closing()
    assert second.side is not None
    assert second.side._carrier is kept


def test_a_connection_without_streams_is_closed_after_the_idle_timeout_alone(world: World) -> None:
    waiter = world.wait()
    made = world.open(limit=10)
    assert world.pool.count_idle(world.endpoint) == 0
    world.pool.tick(made.idle_since + 1000)
    assert not made.transport.is_closing()
    assert waiter.side is not None
    waiter.side.drop()
    assert world.pool.count_idle(world.endpoint) == 1
    world.pool.tick(made.idle_since + 59)
    assert not made.transport.is_closing()
    world.pool.tick(made.idle_since + 60)
    assert made.transport.is_closing()
