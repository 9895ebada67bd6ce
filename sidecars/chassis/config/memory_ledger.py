"""The memory ledger: what one process may take at most, as a sum of limits. `--check` prints it.

Each limit of a buffer, a connection or a response is an entry: how many there can be, and how many bytes each takes.
The sum with the memory of the idle process is to be at most `SHARE` of the container's memory limit. A test holds this
for every manifest, and others compare the sum with peaks that were measured.

Left out is the memory of the kernel for sockets, which it takes back under pressure, and what the operator's own files
take: certificates, rules, settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SHARE = 0.75
"""The part of a container's memory limit that the ledger may take."""

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Entry:
    """A limit: at most `count` things of `size` bytes each."""

    what: str
    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size


@dataclass(frozen=True)
class MemoryLedger:
    """The memory of one process, or of `processes` equal ones. `base` is that of an idle one, in bytes."""

    base: int
    entries: tuple[Entry, ...]
    processes: int = 1

    @property
    def total(self) -> int:
        """The bytes that all processes take at most."""
        return self.processes * (self.base + sum(entry.total for entry in self.entries))

    def lines(self) -> Iterator[str]:
        """Yield the lines that `--check` prints: the sum, then each entry that is not zero, the largest first."""
        limit = self.total / SHARE
        yield f"memory: at most {_mib(self.total)}; a container's limit should be {_mib(limit)} or more"
        if self.processes > 1:
            yield f"memory: {self.processes} processes with {_mib(self.total / self.processes)} each"
        yield f"memory: {_mib(self.base)} for an idle process"
        for entry in sorted(self.entries, key=lambda entry: -entry.total):
            if entry.total:
                each = f" ({entry.count} of {_size(entry.size)})" if entry.count > 1 else ""
                yield f"memory: {_mib(entry.total)} for {entry.what}{each}"


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def _size(size: int) -> str:
    return f"{size / KIB:.1f} KiB" if size < MIB else _mib(size)
