"""The demo's ledger: each expectation beside the figure that was seen. It decides the exit code."""

from __future__ import annotations

from collections.abc import Callable
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

    @property
    def figures(self) -> str:
        """Return what was seen, in words, and what was expected if that is something else."""
        return _words(self.seen) if self.holds else f"{_words(self.seen)} (expected {_words(self.expected)})"


def _words(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


@dataclass
class Ledger:
    """`on_entry` is called with each new entry."""

    on_entry: Callable[[Entry], None] = lambda _entry: None
    entries: list[Entry] = field(default_factory=list)

    def expect(self, who: str, what: str, expected: object, seen: object) -> None:
        self.entries.append(Entry(who, what, expected, seen))
        self.on_entry(self.entries[-1])

    @property
    def holds(self) -> bool:
        """Return True if there are entries and every one holds."""
        return bool(self.entries) and all(entry.holds for entry in self.entries)
