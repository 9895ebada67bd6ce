"""The brokers of one cluster: who leads which partition, who coordinates, and a connection to each.

    bootstrap addresses ─► Metadata ─► brokers and leaders ─► a connection to each broker that is needed

What is known is looked up again after `forget`, which the sink calls when a broker says that it is the wrong one, and
when it is five minutes old: a topic may have more partitions then.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable

from sidecars.logshipper.sinks.kafka.connection import BrokerConnection
from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import NONE, UNKNOWN_TOPIC, BrokerError
from sidecars.logshipper.sinks.kafka.protocol.requests import Partition
from sidecars.logshipper.sinks.kafka.protocol.responses import Broker, TopicLeaders
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed

_MAX_AGE = 300.0  # seconds; metadata.max.age.ms of the Java client
_MANY = 256  # topics that are looked up together, beside those of the batch: names with a date become old
_NO_LEADER = 5  # LEADER_NOT_AVAILABLE

Address = tuple[str, int]
Authenticate = Callable[[BrokerConnection], Awaitable[None]]


class Cluster:
    """The cluster of one sink, which owns it.

    `context` returns the TLS context of the moment, or None. `authenticate` proves on a new connection who we are.
    """

    def __init__(
        self, bootstrap: list[Address], context: Callable[[], ssl.SSLContext | None], authenticate: Authenticate | None
    ) -> None:
        self._bootstrap = bootstrap
        self._context = context
        self._authenticate = authenticate
        self._connections: dict[Address, BrokerConnection] = {}
        self._opening: dict[Address, asyncio.Lock] = {}
        self._brokers: dict[int, Broker] = {}
        self._topics: dict[str, TopicLeaders] = {}
        self._coordinators: dict[tuple[str, int], Broker] = {}
        self._looked_up = 0.0  # time of the loop

    # -- who is responsible --------------------------------------------------------------------------------------------

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the number of partitions of each topic. Raises BrokerError if a topic cannot be used."""
        wanted = sorted(set(topics))
        now = asyncio.get_running_loop().time()
        if now > self._looked_up + _MAX_AGE or not self._topics.keys() >= set(wanted):
            known = self._topics if len(self._topics) < _MANY else ()
            await self._look_up(sorted({*known, *wanted}))
            self._looked_up = now
        for topic in wanted:
            found = self._topics.get(topic, TopicLeaders(UNKNOWN_TOPIC, []))
            if found.error != NONE or not found.leaders:
                self._topics.pop(topic, None)  # it may be created meanwhile
                raise BrokerError(found.error or _NO_LEADER, f"topic {topic}")
        return {topic: len(self._topics[topic].leaders) for topic in wanted}

    async def _look_up(self, topics: list[str]) -> None:
        """Ask any broker for the brokers and the leaders."""
        connection = await self.any_broker()
        version = connection.version(requests.METADATA)
        found = await connection.request(
            requests.METADATA, requests.metadata(topics), lambda reader: responses.metadata(reader, version)
        )
        self._brokers = {broker.node: broker for broker in found.brokers}
        self._topics = {topic: found.topics.get(topic, TopicLeaders(UNKNOWN_TOPIC, [])) for topic in topics}

    async def leader(self, partition: Partition) -> BrokerConnection:
        """Return a connection to the leader of a partition of a topic that `partitions` knows."""
        topic, number = partition
        leaders = self._topics[topic].leaders
        broker = self._brokers.get(leaders[number]) if number < len(leaders) else None
        if broker is None:
            raise BrokerError(_NO_LEADER, f"topic {topic}, partition {number}")
        return await self._connection((broker.host, broker.port))

    async def coordinator(self, key: str, kind: int) -> BrokerConnection:
        """Return a connection to the coordinator of a group (`requests.GROUP`) or of a transactional id."""
        if (key, kind) not in self._coordinators:
            connection = await self.any_broker()
            code, message, broker = await connection.request(
                requests.FIND_COORDINATOR, requests.find_coordinator(key, kind), responses.coordinator
            )
            if code != NONE:
                raise BrokerError(code, f"coordinator of {key}", message)
            self._coordinators[key, kind] = broker
        broker = self._coordinators[key, kind]
        return await self._connection((broker.host, broker.port))

    def forget(self) -> None:
        """Look everything up again before the next request: a broker may be gone, or not be the right one any more."""
        self._topics.clear()
        self._coordinators.clear()

    # -- connections ---------------------------------------------------------------------------------------------------

    async def any_broker(self) -> BrokerConnection:
        """Return a connection to any broker, for a request that each of them answers."""
        for address in list(self._connections):
            if self._usable(address) is not None:
                return self._connections[address]
        known = [(broker.host, broker.port) for broker in self._brokers.values()]
        failure: ConnectionFailed | None = None
        for address in dict.fromkeys([*self._bootstrap, *known]):
            try:
                return await self._connection(address)
            except ConnectionFailed as error:
                failure = failure or error
        raise failure or ConnectionFailed("the sink's URL has no broker")

    def _usable(self, address: Address) -> BrokerConnection | None:
        """Return the connection to the address; None if there is none, or if it has to be replaced."""
        connection = self._connections.get(address)
        if connection is None or not connection.is_open:
            return None
        ends = connection.ends_at
        is_over = ends is not None and asyncio.get_running_loop().time() >= ends
        return None if is_over or connection.context is not self._context() else connection

    async def _connection(self, address: Address) -> BrokerConnection:
        """Return an open connection to the address. A new one replaces one that is closed, or whose session ends."""
        if (found := self._usable(address)) is not None:
            return found
        async with self._opening.setdefault(address, asyncio.Lock()):
            return self._usable(address) or await self._open(address)

    async def _open(self, address: Address) -> BrokerConnection:
        if (old := self._connections.pop(address, None)) is not None:
            old.abort()
        connection = BrokerConnection(*address, self._context())
        try:
            await connection.open()
            if self._authenticate is not None:
                await self._authenticate(connection)
        except BaseException:
            connection.abort()
            raise
        self._connections[address] = connection
        return connection

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.abort()
        self._connections.clear()
