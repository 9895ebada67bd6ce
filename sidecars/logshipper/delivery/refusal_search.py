"""The search for the events for which a sink refuses a batch, if the sink does not name them. Pure.

A refused piece is halved until an event is alone: k such events among n cost about k·log2(n) attempts.

A receiver with a wrong path or schema refuses every event, and then none may be dropped. So a lone event is rejected
only if the sink has accepted something else in an attempt that began after the first refusal. Until then the event is a
*suspect*.

| a piece is | and | next |
|---|---|---|
| accepted | | all suspects are sent again |
| refused, several events | | its halves are sent |
| refused, one event | the sink has accepted something since the first refusal | it is rejected |
| refused, one event | it has not, or too many events in a row were rejected since | it is a suspect |

The search is stuck if only suspects are left, or if there are `SAMPLES` suspects and nothing was accepted. Suspects are
sought far apart: after each new one the search goes on in the largest piece that is left. The caller then waits, and
sends one suspect again (`probe`), or all of them once the sink has accepted something of another batch (`resume`).
"""

from __future__ import annotations

from sidecars.logshipper.model.batch import Batch

SAMPLES = 4  # suspects that stand for the whole of a batch
_ALLOWANCE = 8  # events in a row that are rejected after one acceptance; `_GROWTH` times as many after each further one
_GROWTH = 4


class RefusalSearch:
    """The search in one batch. Owned by the delivery of that batch.

    The owner numbers its attempts. `last_attempt` is the number of the latest attempt; `last_accepted` is that of the
    latest attempt of which the sink accepted something.
    """

    def __init__(self, batch: Batch) -> None:
        self._pieces = [batch]
        self._suspects: list[Batch] = []
        self._look_elsewhere = False  # the last piece became a suspect
        self._first_refusal: int | None = None  # `last_attempt` then: a later acceptance proves that the sink works
        self._probing = False
        self._in_a_row = 0  # events rejected since something was accepted
        self._allowance = _ALLOWANCE

    def next_piece(self) -> Batch | None:
        """Return the piece to send next: the first, or the largest after a new suspect. None: the search is over."""
        if not self._pieces:
            return None
        at = 0
        if self._look_elsewhere:
            at = max(range(len(self._pieces)), key=lambda at: self._pieces[at].events)
        self._look_elsewhere = False
        return self._pieces.pop(at)

    def accepted(self) -> None:
        """Note that the sink accepted the piece of `next_piece`."""
        if self._probing:  # the sink works again: the events were not the cause of its refusals
            self._first_refusal = None
        self._in_a_row = 0
        self._recall()

    def refused(self, piece: Batch, *, last_accepted: int, last_attempt: int, named: bool = False) -> bool:
        """Note that the sink refused the piece of `next_piece`. Return True if its events are to be rejected.

        `named`: the receiver gave a reason for each event, so that halving would find nothing new.
        """
        if self._first_refusal is None:
            self._first_refusal = last_attempt
        halves = None if named else piece.halves()
        if halves:
            self._pieces[:0] = halves
            return False
        if self.is_proven(last_accepted):
            if self._in_a_row < self._allowance:
                self._in_a_row += piece.events
                return True
            self._first_refusal, self._in_a_row, self._allowance = last_attempt, 0, _GROWTH * self._allowance
        self._suspects.append(piece)
        self._look_elsewhere = True
        return False

    def is_proven(self, last_accepted: int) -> bool:
        """True if the sink accepted an attempt that began after its first refusal: the events are the cause."""
        return self._first_refusal is not None and last_accepted > self._first_refusal

    @property
    def suspects(self) -> int:
        """The number of suspects; events that were refused together count as `SAMPLES` at most."""
        return sum(min(piece.events, SAMPLES) for piece in self._suspects)

    @property
    def is_isolated(self) -> bool:
        """True if only suspects are left."""
        return not self._pieces

    @property
    def is_stuck(self) -> bool:
        """True if no further piece should be sent until the sink accepts something."""
        return bool(self._suspects) and (not self._pieces or self.suspects >= SAMPLES)

    def probe(self) -> None:
        """Choose the next piece: the suspect whose last attempt is the oldest."""
        self._pieces.insert(0, self._suspects.pop(0))
        self._look_elsewhere = False
        self._probing = True

    def resume(self, *, proven: bool = False) -> None:
        """Send all suspects again. `proven`: reject what is refused again, without a further acceptance."""
        if proven and self._first_refusal is not None:
            self._first_refusal = -1
        self._recall()

    def _recall(self) -> None:
        self._pieces[:0] = self._suspects
        self._suspects = []
        self._look_elsewhere = self._probing = False
