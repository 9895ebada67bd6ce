"""The memory ledger of the warcopier: names of entries, and the buffers of two processes."""

from __future__ import annotations

from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import MIB, Entry, MemoryLedger
from sidecars.warcopier.artifacts import MOST_SHOWN
from sidecars.warcopier.settings import Settings
from sidecars.warcopier.target.manifest import MAX_BYTES
from sidecars.warcopier.target.memory_limit import OWN_USE

_BASE = 20 * MIB
_BASE_OF_A_SERVICE = 30 * MIB
_SHOWN = 2048  # bytes of an artifact that the page shows; beside those of a run there are removed and refused ones
_ENTRY = 80  # bytes: the hash of a name, and a directory in the set of those that were seen


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that the warcopier takes at most, without the files that it writes to a volume in memory."""
    entries = [
        Entry("buffers, and a second process", 1, OWN_USE),
        Entry("names of an archive's entries", settings.max_entries, _ENTRY),
        Entry("the manifest", 1, 2 * MAX_BYTES),
        *memory.entries(settings.admin_address()),
    ]
    if settings.watch:
        entries.append(Entry("artifacts that the page shows", 3 * MOST_SHOWN, _SHOWN))
    return MemoryLedger(_BASE_OF_A_SERVICE if settings.watch else _BASE, tuple(entries))
