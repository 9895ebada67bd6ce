"""What one sink is given: the next batch out of all files, and the note of what it has.

Whose turn it is: of several generations with one name the oldest that has something, and names in turns, so that one
loud file does not silence the others. Positions move here and nowhere else, each time with a line in the journal:
`sending` before a batch leaves, `settle` once the sink has decided on all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sidecars.logshipper import checkpoint
from sidecars.logshipper.follow import Follower
from sidecars.logshipper.part import Part
from sidecars.logshipper.records import Dropped
from sidecars.logshipper.state import Store
from sidecars.logshipper.tail import LINE_ROOM, Changed, Tail


class Feed:
    def __init__(self, sink: str, follower: Follower, store: Store) -> None:
        self._sink = sink
        self._follower = follower
        self._store = store
        self._last_served = ""

    # -- what waits ----------------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Bytes that the sink could be given now. An unfinished line does not count."""
        sink = self._sink
        return sum(tail.pending(sink) for tail in self._follower.tails.values() if not tail.idle(sink))

    def oldest(self) -> float | None:
        """Since when the sink's oldest byte has been waiting."""
        times = (tail.oldest(self._sink) for tail in self._follower.tails.values())
        return min((time for time in times if time is not None), default=None)

    # -- reading -------------------------------------------------------------------------------------------------------

    def collect(self, room: int) -> list[Part]:
        """Parts for a batch of at most `room` bytes (or one longer line), in turns over the names."""
        parts: list[Part] = []
        for tail in self._turns():
            if room <= 0:
                break
            part = self._read(tail, room, first=not parts)
            if part is None:
                continue
            parts.append(part)
            room -= max(len(part.data), part.lines * LINE_ROOM)
            self._last_served = part.name
        return parts

    def read_again(self) -> list[Part]:
        """The batch that was on its way when an earlier process was killed, as far as it is still to be had."""
        parts = []
        for sent in self._store.state.sinks[self._sink].sending:
            tail = self._follower.tails.get(sent[0])
            try:
                part = tail.read_again(sent, self._sink) if tail else None
            except Changed:
                continue  # the next poll or read finds out
            if part:
                parts.append(part)
        return parts

    def _read(self, tail: Tail, room: int, *, first: bool) -> Part | None:
        try:
            while (part := tail.read(self._sink, room, first=first)) is not None and not part.data:
                self.settle([part], [{}], self.receipt)  # a hole and nothing else
        except Changed:
            self._follower.changed(tail)
            return None
        except OSError as error:
            self._follower.set_aside(tail, error)
            return None
        return part

    def _turns(self) -> Iterable[Tail]:
        """The oldest generation of each name that has something, beginning behind the name that was served last."""
        oldest: dict[str, Tail] = {}
        for tail in self._follower.tails.values():
            if tail.state.name not in oldest and not tail.idle(self._sink):
                oldest[tail.state.name] = tail
        names = list(oldest)
        turn = names.index(self._last_served) + 1 if self._last_served in oldest else 0
        return [oldest[name] for name in names[turn:] + names[:turn]]

    # -- moving positions ----------------------------------------------------------------------------------------------

    def sending(self, parts: Iterable[Part]) -> None:
        """Note, so that it survives kill -9, that exactly this is about to be sent."""
        ranges: list[checkpoint.Range] = []
        for part in parts:
            ranges.append((part.file, part.position, part.start, part.end, part.partial))
            if part.file in self._follower.tails:
                self._follower.tails[part.file].sending(self._sink, part.end)
        self._store.state.sinks[self._sink].sending = ranges
        self._store.append(checkpoint.send_entry(self._sink, ranges))

    def settle(self, parts: Sequence[Part], dropped: Sequence[Dropped], receipt: Any) -> None:
        """The sink has decided on all of it. `dropped`: for each part what it did not take, by reason."""
        positions = {}
        for part, lost in zip(parts, dropped, strict=True):
            tail = self._follower.tails[part.file]  # a file with something on its way is never let go
            tail.settle(self._sink, part, lost)
            positions[part.file] = part.tail
        self._store.state.sinks[self._sink].receipt = receipt
        self._store.append(checkpoint.done_entry(self._sink, positions, receipt))

    @property
    def receipt(self) -> Any:
        """What the sink wants to remember with its last yes."""
        return self._store.state.sinks[self._sink].receipt
