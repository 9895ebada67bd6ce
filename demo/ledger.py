"""The demo's ledger: each expectation beside the figure that was seen. It decides the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    who: str
    what: str
    expected: object
    seen: object

    @property
    def holds(self) -> bool:
        return self.expected == self.seen


@dataclass
class Ledger:
    entries: list[Entry] = field(default_factory=list)

    def expect(self, who: str, what: str, expected: object, seen: object) -> None:
        self.entries.append(Entry(who, what, expected, seen))

    @property
    def holds(self) -> bool:
        """Return True if there are entries and every one holds."""
        return bool(self.entries) and all(entry.holds for entry in self.entries)
