"""The search for the events of a batch that a sink refuses, where it refuses the batch and does not name them. Pure.

A refused piece is halved until an event is alone: k such events among n cost about k·log2(n) requests. But a receiver
with a wrong path or schema refuses every event, and then none must be dropped. So a lone event that is refused is given
up only when the sink has taken something else that it was asked after the batch was first refused: an answer that was
on its way by then proves nothing. Until then the event is a *suspect*.

| a piece is | and | then |
|---|---|---|
| taken | | the suspects are tried once more |
| refused, several events | | its halves are tried |
| refused, alone | the sink has taken something since the first refusal | it is given up |
| refused, alone | it has not, or too many in a row were refused since | it is a suspect |

The search is stuck when all that is left are suspects, or when `SAMPLES` of them were found and nothing was taken: they
are looked for far apart, in the largest piece that is left each time. Whoever carries out the search then waits, and
either tries one suspect again (`probe`), or all of them, once the sink has taken something of another batch (`resume`).
"""

from __future__ import annotations

from sidecars.logshipper.model.batch import Batch

SAMPLES = 4  # suspects that stand for the whole of a batch
_ALLOWANCE = 8  # events in a row that are given up after one yes, and `_GROWTH` times as many after each further one
_GROWTH = 4


class RefusalSearch:
    """One search. Its owner numbers its requests: `asked` is the latest, `yes` the latest that the sink has taken."""

    def __init__(self, batch: Batch) -> None:
        self._pieces = [batch]
        self._suspects: list[Batch] = []
        self._look_elsewhere = False  # the last piece became a suspect
        self._seen: int | None = None  # `asked` at the first refusal: a later yes proves that the sink takes events
        self._probing = False
        self._in_a_row = 0  # events given up since something was taken
        self._allowance = _ALLOWANCE

    def next(self) -> Batch | None:
        """Return the piece to send next: the first, but after a new suspect the largest. None: the search is over."""
        if not self._pieces:
            return None
        at = 0
        if self._look_elsewhere:
            at = max(range(len(self._pieces)), key=lambda at: self._pieces[at].events)
        self._look_elsewhere = False
        return self._pieces.pop(at)

    def taken(self) -> None:
        """Note that the sink took what `next` returned."""
        if self._probing:  # the sink is mended: what it refused before was no matter of the events
            self._seen = None
        self._in_a_row = 0
        self._recall()

    def refused(self, piece: Batch, *, yes: int, asked: int, named: bool = False) -> bool:
        """Note that the sink refused what `next` returned. True if the piece is given up.

        `named`: the receiver gave its verdict on each event, so that there is nothing to halve.
        """
        if self._seen is None:
            self._seen = asked
        halves = None if named else piece.halves()
        if halves:
            self._pieces[:0] = halves
            return False
        if self.is_proven(yes):
            if self._in_a_row < self._allowance:
                self._in_a_row += piece.events
                return True
            self._seen, self._in_a_row, self._allowance = asked, 0, _GROWTH * self._allowance
        self._suspects.append(piece)
        self._look_elsewhere = True
        return False

    def is_proven(self, yes: int) -> bool:
        """True if the sink has taken something that it was asked since it first refused: it is about the events."""
        return self._seen is not None and yes > self._seen

    @property
    def suspects(self) -> int:
        """The number of suspects; events that were refused together count as `SAMPLES` at most."""
        return sum(min(piece.events, SAMPLES) for piece in self._suspects)

    @property
    def is_isolated(self) -> bool:
        """True if nothing but suspects is left."""
        return not self._pieces

    @property
    def is_stuck(self) -> bool:
        """True if going on makes no sense until the sink takes something."""
        return bool(self._suspects) and (not self._pieces or self.suspects >= SAMPLES)

    def probe(self) -> None:
        """Make the suspect that was tried the longest time ago the next piece."""
        self._pieces.insert(0, self._suspects.pop(0))
        self._look_elsewhere = False
        self._probing = True

    def resume(self, *, proven: bool = False) -> None:
        """Try all suspects again. `proven`: what is refused again is given up, though nothing more was taken."""
        if proven and self._seen is not None:
            self._seen = -1
        self._recall()

    def _recall(self) -> None:
        self._pieces[:0] = self._suspects
        self._suspects = []
        self._look_elsewhere = self._probing = False
