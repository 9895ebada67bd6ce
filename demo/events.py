"""The events of the demo: the terminal view, the plain view and the page all consume them, and nothing else.

An event is a frozen dataclass with `at`, the seconds since the story began. The state of any moment is the fold of the
events up to it, so a view that comes late, or that goes back in time, needs only the list.

    Act       what is done to the Pod now; `key` names it
    Said      something has happened, in words
    Present   the line that says how a sidecar is doing now
    Became    a part of the Pod has another state, such as "killed"
    Moved     how much has gone over each way so far: lines, requests, probes
    Entered   an entry of the ledger
    Ended     the story is over
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from demo.ledger import Entry

Part = Literal[
    "customers", "monitor", "warcopier", "webapps", "app", "logs", "logshipper", "ambassador", "newcomer", "adapter",
    "storage", "replica 1", "replica 2", "replica 3",
]  # fmt: skip
State = Literal[
    "waiting", "starting", "running", "done", "down", "silent", "killed", "hangs", "alarmed", "refused", "ended"
]
Way = Literal[
    "war", "deploy", "visits", "probes", "scrapes", "calls", "replica 1", "replica 2", "replica 3", "written", "read",
    "delivered", "refused",
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
STATES: tuple[State, ...] = get_args(State)
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True, slots=True)
class Act:
    at: float
    key: str
    title: str


@dataclass(frozen=True, slots=True)
class Said:
    at: float
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Present:
    at: float
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Became:
    at: float
    part: Part
    state: State
    note: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """Totals since the story began. A way that is missing has the total of the event before."""

    at: float
    totals: Mapping[Way, int]


@dataclass(frozen=True, slots=True)
class Entered:
    at: float
    entry: Entry


@dataclass(frozen=True, slots=True)
class Ended:
    at: float
    holds: bool


Event = Act | Said | Present | Became | Moved | Entered | Ended


def document(event: Event) -> dict[str, Any]:
    """Return an event as an object of JSON. `type` is the name of its class in lower case."""
    members: dict[str, Any] = {"type": type(event).__name__.lower(), "at": round(event.at, 3)}
    if isinstance(event, Entered):
        entry = event.entry
        return members | {"who": entry.who, "what": entry.what, "seen": entry.figures, "holds": entry.holds}
    return members | {name: value for name, value in asdict(event).items() if name != "at"}


@dataclass
class Journal:
    """Stamps events with the time, and gives them to each listener in their order. What is as before is not told."""

    clock: Callable[[], float] = time.monotonic
    listeners: list[Callable[[Event], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._totals: dict[Way, int] = {}
        self._told: dict[tuple[str, str], tuple[str, ...]] = {}  # what each part and each line was last

    def act(self, key: str, title: str) -> None:
        self._tell(Act(self._now, key, title))

    def say(self, who: str, what: str) -> None:
        self._tell(Said(self._now, who, what))

    def present(self, who: str, what: str) -> None:
        if self._differs("present", who, what):
            self._tell(Present(self._now, who, what))

    def became(self, part: Part, state: State, note: str = "") -> None:
        if self._differs("became", part, state, note):
            self._tell(Became(self._now, part, state, note))

    def moved(self, totals: Mapping[Way, int]) -> None:
        """Tell the totals that differ from those that were told before; tell nothing if none does."""
        changed = {way: total for way, total in totals.items() if self._totals.get(way, 0) != total}
        if changed:
            self._totals |= changed
            self._tell(Moved(self._now, changed))

    def entered(self, entry: Entry) -> None:
        self._tell(Entered(self._now, entry))

    def ended(self, *, holds: bool) -> None:
        self._tell(Ended(self._now, holds))

    def _differs(self, kind: str, key: str, *value: str) -> bool:
        before = self._told.get((kind, key))
        self._told[kind, key] = value
        return value != before

    @property
    def _now(self) -> float:
        return self.clock() - self._began

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
