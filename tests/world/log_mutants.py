"""Deliberate faults in the code of the logshipper, for `mutants`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

from sidecars.chassis.isolation.beneath import Root
from sidecars.logshipper.config import routing
from sidecars.logshipper.delivery.batch_delivery import BatchDelivery
from sidecars.logshipper.delivery.rejections import Rejections
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.input.compressed.copies import CompressedCopies
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.open_files import OpenFiles
from sidecars.logshipper.input.rotation import rotated_file_matching
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.model.ledger import EXPIRED
from sidecars.logshipper.sinks.over_http import http
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.snapshot_file import SnapshotFile
from sidecars.logshipper.state.store import Store
from tests.world.replacing import replace


def settle_before_delivery() -> None:
    """Move the positions when a batch is collected, before any sink has it."""
    sending = SinkQueue.sending

    def send(self: SinkQueue, chunks: Iterable[Chunk]) -> int:
        chunks = list(chunks)
        at = sending(self, chunks)
        positions = {chunk.generation: chunk.next_position for chunk in chunks}
        self._store.append(checkpoint.done_entry(self._sink, positions, None))
        return at

    replace(SinkQueue, "sending", send)


def rename_the_snapshot_without_fsync() -> None:
    """Do not flush the snapshot before it gets its name."""
    finish = SnapshotFile.finish

    def finish_without(self: SnapshotFile, journal: int) -> None:
        fsync = os.fsync
        replace(os, "fsync", lambda _number: None)
        try:
            finish(self, journal)
        finally:
            replace(os, "fsync", fsync)

    replace(SnapshotFile, "finish", finish_without)
    replace(Root, "sync", lambda _self: None)


def begin_the_journal_after_the_snapshot() -> None:
    """Swap the order: changes while the snapshot is written go to the journal that it makes void."""

    async def save(self: Store) -> bool:
        try:
            await self._write(self.state.journal + 1)
            self._begin_journal()
        except OSError as error:
            self._note_problem(str(error))
            return False
        return True

    replace(Store, "save", save)


def forget_what_is_sent() -> None:
    """Send a batch without its entry in the journal, so that it is not repeated as it was after a kill."""

    def record_sending(self: Store, sink: str, batches: Any) -> None:
        self.state.sinks[sink].sending = []

    replace(Store, "record_sending", record_sending)


def take_an_error_for_a_delivery() -> None:
    """Settle a batch that the receiver refused for now."""

    def accept(response: Any, *_: Any) -> None:
        assert response.status

    replace(http, "raise_for_status", accept)


def give_up_a_deleted_file() -> None:
    """Close a file that has lost its name before every sink has all of it."""
    honest = Follower._close_if_over

    def close_if_over(self: Follower, tail: Tail, files: Any) -> None:
        if tail.reachable and tail.key not in files and not self._is_still_there(tail):
            self._give_up(tail)
            self._close(tail)
        honest(self, tail, files)

    replace(Follower, "_close_if_over", close_if_over)


def find_files_by_their_inodes() -> None:
    """After a restart take the file with the inode, whatever it has by now."""
    replace(
        rotated_file_matching,
        "is_same_generation",
        lambda state, found, _read_at: found.key == (state.device, state.inode),
    )


def settle_a_batch_that_is_late() -> None:
    """Settle a batch that the receiver has not answered in time."""
    deliver = BatchDelivery.deliver

    async def deliver_some(self: BatchDelivery, batch: Any) -> None:
        try:
            async with asyncio.timeout(0.3):
                await deliver(self, batch)
        except TimeoutError:
            batch.settle()

    replace(BatchDelivery, "deliver", deliver_some)


def give_every_sink_all_inputs() -> None:
    """Route the lines of each input to all sinks, whatever INPUTS says."""
    replace(routing, "sinks_of_inputs", lambda inputs, sinks: {one: tuple(sinks) for one in inputs})


def give_up_without_a_letter() -> None:
    """Settle what is given up beyond RETRY_LIMIT, and write no dead letter of it."""

    async def expire(self: Rejections, batch: Any, piece: Any, _reason: str) -> None:
        batch.drop(piece, range(piece.events), EXPIRED)

    replace(Rejections, "expire", expire)


def close_a_quiet_file_that_is_not_delivered() -> None:
    """Close each file that was quiet for CLOSE_INACTIVE, also a deleted one, and one that some sink does not have."""

    def close_inactive(self: OpenFiles, now: float) -> None:
        for tail in self.opened():
            if tail.quiet_since + self._close_inactive <= now:
                self.park(tail)

    replace(OpenFiles, "close_inactive", close_inactive)


def take_a_file_for_the_closed_one_with_its_inode() -> None:
    """Read on in whatever has the inode of a closed file, from its position."""

    def unpark(self: Tail, descriptor: int, content: Any = None) -> bool:
        self.descriptor, self.parked = descriptor, False
        if self.compressed is not None:
            self.compressed.content = content
        return True

    replace(Tail, "unpark", unpark)
    replace(Fingerprint, "matches", lambda _self, _data: True)


def forget_a_generation_that_was_compressed() -> None:
    """Forget a generation whose original is gone, whatever is beside it: its copy is then read from the beginning."""
    replace(CompressedCopies, "_continues_in_copy", lambda _self, _tail: False)
    replace(CompressedCopies, "_awaits_copy", lambda _self, _tail: False)
    replace(CompressedCopies, "_is_newly_dormant", lambda _self, _tail: False)


def read_a_compressed_file_before_it_is_whole() -> None:
    """Take what there is of a compressed file for all of it."""
    replace(CompressedCopies, "_has_rested", lambda _self, _found: True)
