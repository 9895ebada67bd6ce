"""No yes of Splunk's is taken for other events: every schedule of two indexers behind a balancer, in one process.

The balancer chooses the indexer for each connection (layer 4) or each request (layer 7). At any request an indexer may
index what it has, be killed with what it has not indexed and start again with its numbers at 0, or be busy; replies get
lost, and connections close. The sink is the real one; only its connections and its pauses are replaced.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import load
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings.messages import splunk_events
from sidecars.logshipper.sinks.over_http.splunk import SplunkSink
from sidecars.logshipper.sinks.over_http.splunk_connection import Poster
from sidecars.logshipper.sinks.protocols.http_client import NoResponse
from tests.logshipper.receivers.splunk import split
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples

STEPS = ("go on", "index", "kill", "busy", "lose the reply", "close")
_MOST_ATTEMPTS = 200  # of a batch


class Node:
    """An indexer. What is `stored` survives; all else dies with it."""

    def __init__(self, *, forgetful: bool) -> None:
        self.stored: set[str] = set()
        self._forgetful = forgetful  # it tells each yes once, as Splunk does
        self.kill()

    def kill(self) -> None:
        self.next: dict[str, int] = {}
        self.taken: dict[tuple[str, int], set[str]] = {}
        self.indexed: set[tuple[str, int]] = set()

    def index(self) -> None:
        self.stored.update(*self.taken.values())
        self.indexed.update(self.taken)
        self.taken.clear()

    def reply(self, target: str, channel: str, body: bytes) -> dict[str, Any]:
        if target.endswith("/ack"):
            acks = {number: (channel, number) in self.indexed for number in json.loads(body)["acks"]}
            if self._forgetful:
                self.indexed.difference_update((channel, number) for number in acks)
            return {"acks": {str(number): known for number, known in acks.items()}}
        number = self.next.get(channel, 0)
        self.next[channel] = number + 1
        self.taken[channel, number] = {event["fields"]["id"] for event in split(body)}
        return {"code": 0, "text": "Success", "ackId": number}


class World:
    """Two indexers, a balancer, and a schedule: for each request a step, and the indexer of a layer 7 balancer."""

    def __init__(self, schedule: Iterable[tuple[str, int]], *, layer7: bool, forgetful: bool) -> None:
        self.nodes = [Node(forgetful=forgetful), Node(forgetful=forgetful)]
        self._schedule = iter(schedule)
        self._layer7 = layer7
        self._connections = 0

    def connect(self) -> Connection:
        self._connections += 1
        return Connection(self, self._connections % 2)

    def step(self, node: int) -> tuple[str, int]:
        step, other = next(self._schedule, ("index", node))
        return step, other if self._layer7 else node

    def stored(self) -> set[str]:
        return self.nodes[0].stored | self.nodes[1].stored


class Connection:
    """A connection of the sink's: see `Poster`."""

    def __init__(self, world: World, node: int) -> None:
        self._world = world
        self._node = node
        self.is_connected = True

    async def post(
        self, target: str, headers: Sequence[tuple[str, str]], blocks: Sequence[bytes], _max_body: int | None = None
    ) -> ClientResponse:
        if not self.is_connected:
            raise NoResponse("closed")
        step, number = self._world.step(self._node)
        node = self._world.nodes[number]
        if step == "close":
            self.is_connected = False
            raise NoResponse("closed")
        if step == "busy":
            return ClientResponse(503, {}, b'{"code":9,"text":"Server is busy"}', early=False)
        reply = node.reply(target, dict(headers)["X-Splunk-Request-Channel"], b"".join(blocks))
        if step == "index":
            node.index()
        if step == "kill":
            node.kill()
            # A balancer of connections closes those of a dead node; one of requests goes on with the next request.
            self.is_connected = self._world._layer7
        if step == "lose the reply":
            self.is_connected = False
            raise NoResponse("closed")
        return ClientResponse(200, {}, json.dumps(reply).encode(), early=False)

    def close(self) -> None:
        self.is_connected = False


class SimulatedSink(SplunkSink):
    def __init__(self, world: World) -> None:
        loaded = load(
            Settings,
            {"LOGSHIPPER_PATHS": "/l/*.log", "LOGSHIPPER_SINK": "splunk+http://h", "LOGSHIPPER_SINK_TOKEN": "t"},
        )
        super().__init__(loaded, loaded.sinks["default"], self._pause)
        self._world = world

    async def _pause(self, _seconds: float) -> None:
        await asyncio.sleep(0)  # other batches go on

    def _poster_of_a_connection(self) -> Poster:
        return self._world.connect()


def a_batch_of(number: int, requests: int) -> Batch:
    """Return a batch with so many requests."""
    return a_batch(a_chunk(b"x\n" * requests, number * 100))


async def ship(world: World, batches: Sequence[Batch], together: int) -> None:
    """Deliver every batch as the shipper does, and check each acceptance at its instant."""
    sink = SimulatedSink(world)
    slots = asyncio.Semaphore(together)

    async def deliver(batch: Batch) -> None:
        async with slots:
            for _ in range(_MOST_ATTEMPTS):
                try:
                    outcome = await sink.deliver(batch)
                except RetryLater:
                    continue
                assert not outcome.rejected
                missing = set(batch.ids()) - world.stored()
                assert not missing, "accepted, and on no indexer"
                return
            pytest.fail("the batch never arrives")

    with mock.patch.object(splunk_events, "LARGEST", 1):  # a request for each event
        async with asyncio.TaskGroup() as tasks:
            for batch in batches:
                tasks.create_task(deliver(batch))


schedules = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1)), max_size=60)


@examples(150)
@given(
    schedule=schedules,
    sizes=st.lists(st.integers(1, 2), min_size=1, max_size=5),
    together=st.integers(1, 3),
    layer7=st.booleans(),
    forgetful=st.booleans(),
)
def test_what_is_accepted_is_on_an_indexer_whatever_happens(
    *, schedule: list[tuple[str, int]], sizes: list[int], together: int, layer7: bool, forgetful: bool
) -> None:
    world = World(schedule, layer7=layer7, forgetful=forgetful)
    batches = [a_batch_of(number, requests) for number, requests in enumerate(sizes)]
    asyncio.run(ship(world, batches, together))
    assert world.stored() == {ident for batch in batches for ident in batch.ids()}


def test_a_balancer_that_sends_each_request_to_the_next_indexer_holds_up_no_batch() -> None:
    """Every second request reaches the other indexer, for ever: the numbers collide, and the batches still arrive."""
    world = World(cycle([("index", 0), ("index", 1)]), layer7=True, forgetful=True)
    batches = [a_batch_of(number, 1 + number % 2) for number in range(6)]
    asyncio.run(ship(world, batches, 1))
    assert world.stored() == {ident for batch in batches for ident in batch.ids()}
