"""A packed batch: its records are encoded and compressed while it is collected, and their texts are forgotten.

As texts, a batch of 32 MiB would take hundreds of megabytes. A sink of large batches packs each chunk as soon as it is
read. Only its place and its sizes are left of an event, so that the batch is accounted for, halved and rejected as
any other one; a part of it is cut out of the pack when it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, overload, runtime_checkable

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records


class Pack(Protocol):
    """The packed events of one batch. Owned by the batch. Its methods take long: a thread calls them."""

    def add(self, records: Records) -> None:
        """Pack the events of one more chunk."""

    def finish(self) -> None:
        """Note that no more chunks will come."""

    def encoded_records(self, indices: Sequence[int]) -> Iterator[bytes]:
        """Yield the encoded record of each of these events, as a line. The indices must rise."""

    def note(self, batch_key: str) -> Any:
        """Return the note for the journal, by which the sink knows the same places after a restart. A JSON value."""

    def forget_note(self) -> None:
        """Make places anew: the batch has less than the one that the note is about."""


@runtime_checkable
class PackingSink(Protocol):
    """A sink (`sinks.base.Sink`) whose batches are packed. `deliver` gets a `PackedBatch`."""

    def new_pack(self, at: int, note: Any = None) -> Pack:
        """Return the pack of a batch that is collected from now on. `at`: see `Batch.at`.

        `note`: of a batch that is collected again, `Pack.note` of an earlier process, perhaps under other settings.
        """


class Hollow(Sequence[str]):
    """Texts that are forgotten: only their number is known."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Hollow: ...
    def __getitem__(self, index: int | slice) -> str | Hollow:
        if isinstance(index, slice):
            return Hollow(len(range(*index.indices(self._count))))
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return ""


def without_texts(records: Records) -> Records:
    """Return the records without their texts, fields and times: with places and sizes alone."""
    return replace(
        records,
        chunk=records.chunk.without_data(),
        bodies=Hollow(len(records.bodies)),
        offsets=array("Q", records.offsets),
        sizes=array("Q", records.sizes),
        counts=None if records.counts is None else array("Q", records.counts),
        read_sizes=None if records.read_sizes is None else array("Q", records.read_sizes),
        times=None,
        levels=None,
        fields=None,
        raw=None,
        source=records.source and records.source.without_data(),
    )


@dataclass
class PackedBatch(Batch):
    """A batch whose records have no texts (`without_texts`): these are in the pack."""

    pack: Any = None  # a Pack
    chosen: Sequence[int] | None = None  # the events of the pack that this batch has; None: all

    def select(self, indices: Sequence[int]) -> PackedBatch:
        """Return a batch of these events, of the same pack."""
        mine = [*indices] if self.chosen is None else [self.chosen[index] for index in indices]
        return PackedBatch(self.sink, super().select(indices).records, self.at, pack=self.pack, chosen=mine)

    def encoded_records(self, indices: Sequence[int]) -> Iterator[bytes]:
        """Yield the encoded record of each of these events, as a line. The indices must rise."""
        found: Iterator[bytes] = self.pack.encoded_records(
            indices if self.chosen is None else [self.chosen[index] for index in indices]
        )
        return found
