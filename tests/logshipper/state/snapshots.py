"""Snapshots without the thread of the store."""

from __future__ import annotations

from collections.abc import Iterable

from sidecars.logshipper.state.snapshot_file import SnapshotFile
from sidecars.logshipper.state.store import Store


def write_snapshot(store: Store, pieces: Iterable[tuple[int, bytes]], journal: int) -> None:
    """Write a snapshot as the store does, in one go. `journal` continues it."""
    snapshot = SnapshotFile(store.root)
    snapshot.begin()
    for offset, piece in pieces:
        snapshot.write(offset, piece)
    snapshot.finish(journal)
