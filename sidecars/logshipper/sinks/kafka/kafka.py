"""The sinks `kafka://` and `kafka+tls://`: one record for each event, in one transaction for each batch.

Accepted: the transaction is committed; without transactions, every record is acknowledged by the replicas that
`SINK_ACKS` wants.

Repeats: none for readers with `isolation.level=read_committed`, also after kill -9: each line is there exactly once. A
transaction notes the batch's key, and a batch that is there already is settled without being sent (see `transactions`).
Without transactions the header `id` of a record is the same (see `idempotence`).

Rejected: records that a broker names (INVALID_RECORD), and a single record that is too large (MESSAGE_TOO_LARGE). A
batch of which every record is refused is kept: then the topic's configuration may be the cause.

A delivery has `REQUEST_TIMEOUT` for everything it needs, also for connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from sidecars.chassis.http.peer_text import sanitized
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.record_thread import CHUNK, beside_the_loop
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.target_names import TargetTemplate, clean_topic
from sidecars.logshipper.sinks.kafka import producing
from sidecars.logshipper.sinks.kafka.cluster import Cluster
from sidecars.logshipper.sinks.kafka.idempotence import IdempotentProducer
from sidecars.logshipper.sinks.kafka.producing import Refusals
from sidecars.logshipper.sinks.kafka.protocol.error_codes import (
    MOVED,
    PEOPLE,
    TOO_LARGE,
    BrokerError,
    describe,
    meaning,
)
from sidecars.logshipper.sinks.kafka.protocol.record_batches import MAX_SIZE
from sidecars.logshipper.sinks.kafka.routing import Decisions, Plan, Router
from sidecars.logshipper.sinks.kafka.transactions import Transactions
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed
from sidecars.logshipper.sinks.protocols.credentials import tls_context

if TYPE_CHECKING:
    from sidecars.logshipper.sinks.kafka.authentication import Authenticator

_ROUNDS = 64  # attempts in one delivery to find the records that are refused
_SMALLEST = 16 * 1024  # bytes of a record batch that is halved because of its size
_ABORT = 0.3  # seconds that the end of the process waits for the end of an open transaction
_INSTANCE = 8  # random bytes that name a process
_SUFFIX = 4  # random bytes of a transactional id, so that another state never has the same one
_MOST_INSTANCES = 50  # names of processes that the state keeps: so many may end before they reach a broker
_LONGEST_TOPIC = 249  # characters
_SETTLED_BEFORE = "refused before a restart"


def create(settings: Settings, sink: SinkSettings) -> KafkaSink:
    return KafkaSink(settings, sink)


def _keys(batch: Batch, rejected: Collection[int]) -> tuple[str, str]:
    """Return the key of the note of a batch, and that of an older version.

    The numbers of rejected events mean other events if other settings divide the lines otherwise. Such a batch is sent
    again: a rejected event would be taken for one that is there.
    """
    return batch.events_key if rejected else batch.range_key, batch.key


class KafkaSink:
    """The topics of a Kafka cluster. See `base.Sink`."""

    max_in_flight = 1  # the group notes one batch; and lines of a file stay in their order

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._process = settings
        self._settings = sink
        self._topics = TargetTemplate(str(sink.url.target).removeprefix("/"), clean=clean_topic, longest=_LONGEST_TOPIC)
        encode = None if sink.sink_encoding == "text" else ndjson.encoder(sink.sink_schema)
        self._router = Router(self._topics, sink.sink_message_key, sink.compression, encode)
        self._most = MAX_SIZE  # bytes of a record batch; fewer once a broker found it too large
        self._tls: ReloadingContext | None = None
        self._authenticator: Authenticator | None = None
        self._cluster: Cluster | None = None
        self._transactions: Transactions | None = None
        self._producer: IdempotentProducer | None = None
        self._id = ""
        self._instances: list[str] = []  # names of the processes that had this state, the last one is this one
        self._names: tuple[str, list[str]] = ("", [])  # the topics of the events of the last batch, with its key

    # -- opening -------------------------------------------------------------------------------------------------------

    async def open(self, receipt: Any) -> Any:
        sink = self._settings
        if sink.url.scheme == "kafka+tls":
            self._tls = tls_context(sink)
        if sink.sink_sasl is not None:
            from sidecars.logshipper.sinks.kafka import authentication  # noqa: PLC0415 - loaded only if it is used

            self._authenticator = authentication.create(self._process, sink)
        authenticate = self._authenticator.authenticate if self._authenticator else None
        cluster = self._cluster = Cluster(sink_registry.brokers(sink.url), self._context, authenticate)
        timeout = int(sink.request_timeout * 1000)
        self._topics.restore(receipt)
        if sink.sink_transactions:
            self._id = self._transactional_id(receipt)
            self._instances = [*_instances(receipt, self._id), os.urandom(_INSTANCE).hex()]
            self._transactions = Transactions(sink.name, cluster, self._id, timeout, self._instances)
        else:
            acks = producing.ALL if sink.sink_acks == "all" else producing.LEADER
            self._producer = IdempotentProducer(cluster, acks, timeout)
        return self._receipt()

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context() if self._tls else None

    def _transactional_id(self, receipt: Any) -> str:
        """Return the id that is set, or that of the state directory, or a new one."""
        if self._settings.sink_transactional_id is not None:
            return self._settings.sink_transactional_id
        if saved := _saved(receipt, "transactional_id"):
            return saved
        parts = (
            "logshipper",
            self._process.pod_namespace,
            self._process.pod_name or socket.gethostname(),
            self._settings.name,
            os.urandom(_SUFFIX).hex(),
        )
        return clean_id("-".join(part for part in parts if part))

    def _receipt(self) -> Any:
        receipt: dict[str, str] = dict(self._topics.receipt) if not self._topics.is_constant else {}
        if self._id:
            receipt |= {"transactional_id": self._id, "instances": " ".join(self._instances)}
        return receipt or None

    # -- delivering ----------------------------------------------------------------------------------------------------

    async def deliver(self, batch: Batch) -> Outcome:
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                return await self._deliver(batch)
        except TimeoutError:
            raise RetryLater(f"no acknowledgement within {self._settings.request_timeout:g} s") from None
        except ConnectionFailed as error:
            self._opened().forget()
            raise RetryLater(error.reason) from None
        except BrokerError as error:
            if error.meaning in (MOVED, PEOPLE):
                self._opened().forget()
            raise RetryLater(error.reason) from None

    async def _deliver(self, batch: Batch) -> Outcome:
        cluster = self._opened()
        names = await self._topics_of(batch)
        partitions = await cluster.partitions(names)
        decisions = Decisions()
        if self._transactions is not None:
            return await self._in_transactions(self._transactions, batch, names, partitions, decisions)
        if self._producer is None:
            raise AssertionError("a delivery before open")
        return await self._idempotently(self._producer, batch, names, partitions, decisions)

    async def _in_transactions(
        self,
        transactions: Transactions,
        batch: Batch,
        names: list[str],
        partitions: dict[str, int],
        decisions: Decisions,
    ) -> Outcome:
        """Commit the batch in one transaction, unless it is there. Each round is a transaction of its own."""
        try:
            for _ in range(_ROUNDS):
                note = await transactions.committed(names[0])
                del self._instances[:-1]  # this process has claimed the group: no earlier one can have done it later
                if note.key in _keys(batch, note.rejected):
                    known = [(index, _SETTLED_BEFORE) for index in note.rejected if index < batch.events]
                    return Outcome(self._receipt(), rejected=known)
                plan = await self._plan(batch, names, partitions, decisions)
                rejected = tuple(sorted(decisions.rejected))
                refusals = await transactions.send(_keys(batch, rejected)[0], plan, rejected)
                if not refusals:
                    return self._outcome(decisions)
                self._learn(decisions, refusals)
        except BaseException:
            transactions.close()
            raise
        raise RetryLater("the brokers refuse more and more records of the batch")

    async def _idempotently(
        self,
        producer: IdempotentProducer,
        batch: Batch,
        names: list[str],
        partitions: dict[str, int],
        decisions: Decisions,
    ) -> Outcome:
        """Send the batch until each record is acknowledged or rejected."""
        for _ in range(_ROUNDS):
            decisions.done = await producer.resume(batch.key)
            plan = await self._plan(batch, names, partitions, decisions)
            if not plan:
                return self._outcome(decisions)
            self._learn(decisions, await producer.send(plan))
        raise RetryLater("the brokers refuse more and more records of the batch")

    async def _topics_of(self, batch: Batch) -> list[str]:
        """Return the topic of each event. They are made once for a batch, as `TargetTemplate` wants it."""
        if self._names[0] != batch.key:
            self._names = (batch.key, self._topics.names(batch))
        return self._names[1]

    async def _plan(self, batch: Batch, names: list[str], partitions: dict[str, int], decisions: Decisions) -> Plan:
        if len(decisions.rejected) == batch.events:
            raise _all_refused(batch, decisions)

        def make(batch: Batch) -> Plan:
            return self._router.plan(batch, names, partitions, decisions, self._most)

        if not decisions.is_partial and not decisions.cuts and not decisions.late:
            return await batch.encoded(make)
        return await beside_the_loop(batch.size + CHUNK * len(batch.records), make, batch)

    def _learn(self, decisions: Decisions, refusals: Refusals) -> None:
        for sent, decision in refusals:
            if meaning(decision.error) == TOO_LARGE and len(sent.events) > 1:
                self._most = max(self._most // 2, _SMALLEST)
            if not decisions.learn(sent, decision):
                raise RetryLater(f"{describe(decision.error)}: {sanitized(decision.message)}")

    def _outcome(self, decisions: Decisions) -> Outcome:
        rejected = [(index, sanitized(reason)) for index, reason in sorted(decisions.rejected.items())]
        return Outcome(self._receipt(), rejected=rejected)

    def _opened(self) -> Cluster:
        if self._cluster is None:
            raise AssertionError("a delivery before open")
        return self._cluster

    # -- closing -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        if self._transactions is not None:
            with contextlib.suppress(TimeoutError, RetryLater, BrokerError, ConnectionFailed):
                async with asyncio.timeout(_ABORT):
                    await self._transactions.abort()
        if self._authenticator is not None:
            await self._authenticator.close()
        if self._cluster is not None:
            self._cluster.close()


def _saved(receipt: Any, name: str) -> str:
    """Return a text of the receipt; "" if it has none."""
    found = receipt.get(name) if isinstance(receipt, Mapping) else None
    return found if isinstance(found, str) else ""


def _instances(receipt: Any, transactional_id: str) -> list[str]:
    """Return the names of the processes that had the state, if they had this id. The first one may have claimed it."""
    if _saved(receipt, "transactional_id") != transactional_id:
        return []
    names = _saved(receipt, "instances").split()
    return names[:1] + names[1:][-_MOST_INSTANCES:]


def _all_refused(batch: Batch, decisions: Decisions) -> BatchRefused:
    reasons = [sanitized(decisions.rejected.get(index, "")) for index in range(batch.events)]
    return BatchRefused(f"every record is refused: {reasons[0]}", reasons)


def clean_id(text: str) -> str:
    """Return the text in the characters of a transactional id."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in text)[:_LONGEST_TOPIC]
