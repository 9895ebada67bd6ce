"""The demo's ledger: what had to be true beside what was seen. It is checked, not narrated."""

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
        """True when there are entries, and every one of them holds."""
        return bool(self.entries) and all(entry.holds for entry in self.entries)
