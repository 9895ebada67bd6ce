"""Transactions: a batch's records and the note that they are there are committed together, or not at all.

Theory of operation. The note is one committed offset of a consumer group, with the batch's key as its metadata (see
`protocol.progress`). The steps of one batch, between `send` and `done` in the journal:

    AddPartitionsToTxn ─► Produce … ┐
                       └► AddOffsetsToTxn ─► TxnOffsetCommit ┴► EndTxn(commit)

States: `closed`, `open`, `fenced`.

| from | event | to |
|---|---|---|
| `closed` | InitProducerId, OffsetFetch: the note is ours, or there is none of a later process | `open` |
| `closed` | the note is that of a later process | `fenced` |
| `open` | EndTxn says yes: the note is that of this batch | `open` |
| `open` | anything else: an error, a lost connection, a time-out, a cancelled delivery | `closed` |
| `fenced` | the same question, after each pause | `fenced`, or `closed` |

**No unknown outcome is retried.** After a lost answer of EndTxn or TxnOffsetCommit the transaction may be committed,
aborted, or neither yet. InitProducerId ends it either way: it raises the epoch, so that a request that is still on its
way is refused, and it returns when the transaction is over. Then the note tells the fate of the batch. So the same
code settles a batch after a lost answer and after kill -9. (This closes by hand what KIP-890 closes in brokers of
4.0.)

**Fencing.** A process claims the group with its first transaction, which has the note of before under a new number. A
process that is refused for its epoch reads the note *before* it takes a new epoch: if another process has claimed the
group meanwhile, it is a zombie, and sends nothing any more. If not, its transaction took too long and was aborted by
the coordinator: it goes on.

A zombie may also wake up before its first claim. The state has the names of the processes that had it, and each process
adds its own before it sends anything. A claim of another process than these is that of a successor with a copy of the
state. A fresh state has no such names: its process takes the group over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sidecars.chassis.runtime import logs
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.kafka import producing
from sidecars.logshipper.sinks.kafka.cluster import Cluster
from sidecars.logshipper.sinks.kafka.connection import BrokerConnection
from sidecars.logshipper.sinks.kafka.producing import Refusals
from sidecars.logshipper.sinks.kafka.protocol import progress, requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import (
    CONCURRENT_TRANSACTIONS,
    NONE,
    UNSTABLE_OFFSET_COMMIT,
    UNSUPPORTED_VERSION,
    BrokerError,
)
from sidecars.logshipper.sinks.kafka.protocol.progress import Progress
from sidecars.logshipper.sinks.kafka.protocol.requests import Partition, Producer
from sidecars.logshipper.sinks.kafka.routing import Plan
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed

log = logs.get("kafka")

_LOADING = 14  # COORDINATOR_LOAD_IN_PROGRESS
_NOT_YET = (CONCURRENT_TRANSACTIONS, UNSTABLE_OFFSET_COMMIT, _LOADING)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2  # seconds, until what another transaction holds up is asked for again
_WAVES = 5  # under way together: brokers remember the sequence numbers of so many record batches

_NOT_ATTEMPTED = 55  # OPERATION_NOT_ATTEMPTED: of a partition beside one that has an error
_NO_TRANSACTIONS = "the brokers have no transactions: set SINK_TRANSACTIONS=false"
_TOO_OLD = "transactions need brokers of 2.5 or later: set SINK_TRANSACTIONS=false"

T = TypeVar("T")


class Fenced(RetryLater):
    """Another process has the transactional id."""


class Transactions:
    """The transactions of one sink, which owns it. One batch at a time.

    `instances`: random names of this process, the last one, and of those that had its state before, in their order.
    `timeout`: milliseconds after which the coordinator aborts a transaction.
    """

    def __init__(
        self, sink: str, cluster: Cluster, transactional_id: str, timeout: int, instances: Sequence[str]
    ) -> None:
        self._sink = sink
        self._cluster = cluster
        self._id = transactional_id
        self._timeout = timeout
        self._instance = instances[-1]
        self._lineage = frozenset(instances[:-1])
        self._producer: Producer | None = None  # None: closed
        self._left: Producer | None = None  # of a transaction whose outcome is not known
        self._progress = Progress()
        self._claim = 0  # the number of our claim; 0: this process has not claimed the group yet
        self._is_fenced = False
        self._sequences: dict[Partition, int] = {}

    # -- the session ---------------------------------------------------------------------------------------------------

    async def committed(self, topic: str) -> Progress:
        """Return the note of the last transaction that was committed. `topic`: one of ours, for the claim.

        Raises Fenced, BrokerError or ConnectionFailed.
        """
        if self._producer is None:
            if self._claim and (found := await self._read(stable=False)) is not None:
                self._check_claim(found)
            self._producer, self._left = await self._begin_epoch(), None
            self._sequences.clear()
            self._progress = await self._read() or Progress()
            self._check_claim(self._progress)
            if self._progress.instance == self._instance:
                self._claim = self._progress.claim  # also if the answer to the claim was lost
            if not self._claim:
                await self._claim_group(topic)
        return self._progress

    def close(self) -> None:
        """Begin a new epoch before the next transaction: the outcome of the last one is not known."""
        self._producer, self._left = None, self._producer or self._left

    async def _begin_epoch(self) -> Producer:
        """Abort or finish the open transaction, fence the requests on their way, and return our new epoch."""

        async def ask() -> tuple[int, Producer]:
            coordinator = await self._coordinator()
            if not coordinator.has(requests.INIT_PRODUCER_ID) or not coordinator.has(requests.END_TXN):
                raise BrokerError(UNSUPPORTED_VERSION, self._id, _NO_TRANSACTIONS)
            body = requests.init_producer_id(self._id, self._timeout)
            code, number, epoch = await coordinator.request(requests.INIT_PRODUCER_ID, body, responses.producer_id)
            return code, Producer(self._id, number, epoch)

        return await self._when_free(ask, "InitProducerId")

    async def _read(self, *, stable: bool = True) -> Progress | None:
        """Return the note of the group, when no transaction is being committed.

        None without `stable`: one is, and it may be ours, which nobody ends before we do.
        """

        async def ask() -> tuple[int, Progress | None]:
            group = await self._cluster.coordinator(self._id, requests.GROUP)
            if not group.has(requests.OFFSET_FETCH):
                raise BrokerError(
                    UNSUPPORTED_VERSION,
                    self._id,
                    _TOO_OLD,
                )
            code, offsets = await group.request(
                requests.OFFSET_FETCH, requests.offset_fetch(self._id), responses.committed_offsets
            )
            code = next((offset.error for offset in offsets if offset.error), code)
            if code == UNSTABLE_OFFSET_COMMIT and not stable:
                return NONE, None
            return code, progress.newest((offset.offset, offset.metadata) for offset in offsets)

        return await self._when_free(ask, "OffsetFetch")

    def _check_claim(self, found: Progress) -> None:
        """Raise Fenced if a process that began after this one has claimed the group.

        Before the first claim that is one that is not among the predecessors, unless the state has none.
        """
        if self._claim:
            is_successor = found.instance != self._instance and found.claim >= self._claim
        else:
            known = self._lineage | {self._instance, ""}
            is_successor = bool(self._lineage) and found.instance not in known
        if not is_successor:
            self._is_fenced = False
            return
        self._producer = None
        reason = f"another process has the transactional id {self._id}, and ships with it"
        if not self._is_fenced:
            log.error(
                "this process is fenced: another one has its transactional id, and nothing is sent any more",
                code="kafka-fenced",
                sink=self._sink,
                transactional_id=self._id,
            )
        self._is_fenced = True
        raise Fenced(reason)

    async def _claim_group(self, topic: str) -> None:
        """Commit the note of before as ours, so that a process that began earlier sees that it has a successor."""
        before = self._progress
        claim = before.claim + 1
        claimed = replace(before, number=before.number + 1, claim=claim, instance=self._instance)
        await self._commit_note(topic, claimed)
        await self._commit()
        self._progress, self._claim = claimed, claim

    # -- one transaction -----------------------------------------------------------------------------------------------

    async def send(self, key: str, plan: Plan, rejected: tuple[int, ...]) -> Refusals:
        """Commit the record batches with the note of the batch. Return those that were refused: then nothing is there.

        `rejected`: events of the batch that are not in the plan. Raises BrokerError or ConnectionFailed; then the
        outcome is not known.
        """
        topic = next(iter(plan))[0]
        note = Progress(self._progress.number + 1, key, self._claim, self._instance, rejected)
        if len(note.metadata()) > progress.MAX_METADATA:
            raise RetryLater(
                f"{len(rejected)} events of one batch are refused: more than can be noted; lower BATCH_SIZE"
            )
        await self._add_partitions(list(plan))
        for partition in plan:
            await self._cluster.leader(partition)  # connects: then the waves are written in their order
        refusals, _ = await producing.together(self._produce(plan), self._commit_note(topic, note))
        if refusals:
            self.close()
            return refusals
        await self._commit()
        self._progress = note
        return []

    async def _add_partitions(self, partitions: list[Partition]) -> None:
        async def ask() -> tuple[int, None]:
            coordinator = await self._coordinator()
            body = requests.add_partitions_to_txn(self._open(), partitions)
            codes = await coordinator.request(requests.ADD_PARTITIONS_TO_TXN, body, responses.errors_by_partition)
            errors = [code for code in codes.values() if code not in (NONE, _NOT_ATTEMPTED)]
            return (errors[0] if errors else NONE), None

        await self._when_free(ask, "AddPartitionsToTxn")

    async def _commit_note(self, topic: str, note: Progress) -> None:
        """Add the group to the transaction, and its new note."""
        producer = self._open()

        async def add() -> tuple[int, None]:
            coordinator = await self._coordinator()
            body = requests.add_offsets_to_txn(producer, self._id)
            return await coordinator.request(requests.ADD_OFFSETS_TO_TXN, body, responses.error_alone), None

        async def commit() -> tuple[int, None]:
            group = await self._cluster.coordinator(self._id, requests.GROUP)
            version = group.version(requests.TXN_OFFSET_COMMIT)
            body = requests.txn_offset_commit(version, producer, self._id, topic, note.number, note.metadata())
            codes = await group.request(requests.TXN_OFFSET_COMMIT, body, responses.errors_by_partition)
            return max(codes.values(), key=abs, default=NONE), None

        await self._when_free(add, "AddOffsetsToTxn")
        await self._when_free(commit, "TxnOffsetCommit")

    async def _produce(self, plan: Plan) -> Refusals:
        """Send all record batches. Return those that were refused."""
        refusals: Refusals = []
        waves = max(map(len, plan.values()))
        for first in range(0, waves, _WAVES):
            calls = [self._send_wave(plan, number) for number in range(first, min(first + _WAVES, waves))]
            found = await producing.together(*calls)
            refusals = [refusal for refused, _ in found for refusal in refused]
            if refusals:
                break
            for _, error in found:
                if error is not None:
                    raise error
        return refusals

    async def _send_wave(self, plan: Plan, number: int) -> tuple[Refusals, BrokerError | ConnectionFailed | None]:
        """Return the refused records and the error: behind a refusal it says that sequence numbers have a gap."""
        producer = self._open()
        sent = {partition: batches[number] for partition, batches in plan.items() if number < len(batches)}
        sealed = {}
        for partition, batch in sent.items():
            sequence = self._sequences.get(partition, 0)
            sealed[partition] = batch.sealed(producer, sequence)
            self._sequences[partition] = producing.next_sequence(sequence, len(batch.events))
        try:
            decisions = await producing.send_wave(self._cluster, producer, producing.ALL, self._timeout, sealed)
            return producing.refused(sent, decisions), None
        except (BrokerError, ConnectionFailed) as error:
            return [], error

    async def _commit(self) -> None:
        coordinator = await self._coordinator()
        body = requests.end_txn(self._open(), commit=True)
        code = await coordinator.request(requests.END_TXN, body, responses.error_alone)
        if code != NONE:
            raise BrokerError(code, f"EndTxn of {self._id}")

    async def abort(self) -> None:
        """Abort the transaction that may be open, so that readers do not wait for its time-out.

        If it is committed, the coordinator refuses that, and nothing changes.
        """
        if self._left is not None:
            coordinator = await self._coordinator()
            body = requests.end_txn(self._left, commit=False)
            await coordinator.request(requests.END_TXN, body, responses.error_alone)
            self._left = None

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _open(self) -> Producer:
        if self._producer is None:
            raise BrokerError(CONCURRENT_TRANSACTIONS, self._id)
        return self._producer

    async def _coordinator(self) -> BrokerConnection:
        return await self._cluster.coordinator(self._id, requests.TRANSACTION)

    async def _when_free(self, ask: Callable[[], Awaitable[tuple[int, T]]], about: str) -> T:
        """Return the result of `ask`, which returns an error code, too. Ask again while a transaction is ending."""
        pause = _FIRST_PAUSE
        while True:
            code, result = await ask()
            if code == NONE:
                return result
            if code not in _NOT_YET:
                raise BrokerError(code, f"{about} of {self._id}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
