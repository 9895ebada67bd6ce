"""The search for the events for which a sink refuses a batch, if the sink does not name them. Pure.

A refused piece is halved until an event is alone. If the first half is accepted, the second one has the cause: it is
halved without being sent. So k such events among n cost about 1.5·k·log2(n) attempts.

A receiver with a wrong path or schema refuses every event, and then none may be dropped. So a lone event is rejected
only if the sink has accepted something else in an attempt that began after the first refusal. Until then the event is a
*suspect*.

| a piece is | and | next |
|---|---|---|
| accepted | | all suspects are sent again |
| refused, several events | | its halves are sent |
| refused, one event | the sink has accepted something since the first refusal | it is rejected |
| refused, one event | it has not, or too many events in a row were rejected since | it is a suspect |
| failed (5xx), several events | | its halves are sent |
| failed (5xx), one event | it has failed `TRIES` times, with an acceptance between each two | it is rejected |
| failed (5xx), one event | less often | it is a suspect |

A 5xx need not be about an event: a receiver that is overloaded fails at random. So in an *isolation*, a search after
failures, a lone event is judged by more than one try, and only while at least as many other pieces were accepted as
failed. If all events of a piece that failed are accepted later, the failure was about none of them: the isolation is
over, and the next one wants four times as many tries.

The search is stuck if only suspects are left, or if there are `SAMPLES` suspects and nothing was accepted. Suspects are
sought far apart: after each new one the search goes on in the largest piece that is left. The caller then waits, and
sends one suspect again (`probe`), or all of them once the sink has accepted something of another batch (`resume`).
"""

from __future__ import annotations

from sidecars.logshipper.model.batch import Batch

SAMPLES = 4  # suspects that stand for the whole of a batch
TRIES = 4  # of a lone event, before a failure (5xx) is taken to be about it
_SURPLUS = 4  # pieces that were accepted in an isolation, more than failed, before an event is rejected
_ALLOWANCE = 8  # events in a row that are rejected after one acceptance; `_GROWTH` times as many after each further one
_GROWTH = 4


class _Halved:
    """A piece of which the halves are sent. `left`: its halves that are not accepted as a whole yet."""

    __slots__ = ("has_failed", "left", "parent")

    def __init__(self, parent: _Halved | None, *, has_failed: bool) -> None:
        self.left = 2
        self.parent = parent
        self.has_failed = has_failed


class RefusalSearch:
    """The search in one batch. Owned by the delivery of that batch.

    The owner numbers its attempts. `last_attempt` is the number of the latest attempt; `last_accepted` is that of the
    latest attempt of which the sink accepted something.
    """

    def __init__(self, batch: Batch) -> None:
        self._pieces = [batch]
        self._sent = batch  # the piece of `next_piece`
        self._second: dict[
            int, Batch
        ] = {}  # first half (its `id`) -> the second, which has the cause if the first has not
        self._halves: dict[int, _Halved] = {}  # piece (its `id`) -> what it is a half of
        self._suspects: list[Batch] = []
        self._look_elsewhere = False  # the last piece became a suspect
        self._first_refusal: int | None = None  # `last_attempt` then: a later acceptance proves that the sink works
        self._probing = False
        self._whole = False  # the piece of `next_piece` is not halved if it fails
        self._in_a_row = 0  # events rejected since something was accepted
        self._allowance = _ALLOWANCE
        self._tries: dict[int, tuple[int, int]] = {}  # lone event that failed (its `id`) -> tries, number of the last
        self._wanted_tries = TRIES
        self._balance = 0  # pieces that were accepted in the isolation, less those of several events that failed
        self.isolates = False  # True while failures are searched for the event that causes them

    def next_piece(self) -> Batch | None:
        """Return the piece to send next: the first, or the largest after a new suspect. None: the search is over."""
        if not self._pieces:
            return None
        at = 0
        if self._look_elsewhere:
            at = max(range(len(self._pieces)), key=lambda at: self._pieces[at].events)
        self._look_elsewhere = False
        self._sent = self._pieces.pop(at)
        return self._sent

    def left(self) -> list[Batch]:
        """Return the undecided events, without the piece of `next_piece`."""
        return [*self._pieces, *self._suspects]

    def accepted(self) -> None:
        """Note that the sink accepted the piece of `next_piece`."""
        if self._probing:  # the sink works again: the events were not the cause of its refusals
            self._first_refusal = None
        self._in_a_row, self._whole = 0, False
        self._balance += 1
        if self._contradicts_a_failure() and self.isolates:
            self._end_isolation()
        second = self._second.pop(id(self._sent), None)
        at = next((at for at, piece in enumerate(self._pieces) if piece is second), None)
        if at is not None and (halves := self._halved(self._pieces[at], cause_in_one=True)):
            self._pieces[at : at + 1] = halves
        if not self.isolates or self._balance >= 0 or not self._pieces:
            self._recall()

    def refused(
        self, piece: Batch, *, last_accepted: int, last_attempt: int, named: bool = False, too_large: bool = False
    ) -> bool:
        """Note that the sink refused the piece of `next_piece`. Return True if its events are to be rejected.

        `named`: the receiver gave a reason for each event, so that halving would find nothing new. `too_large`: the
        size is the cause, so that both halves may be accepted.
        """
        if self._first_refusal is None:
            self._first_refusal = last_attempt
        halves = None if named else self._halved(piece, cause_in_one=not too_large)
        if halves:
            self._pieces[:0] = halves
            return False
        if self.is_proven(last_accepted):
            if self._in_a_row < self._allowance:
                self._in_a_row += piece.events
                return True
            self._first_refusal, self._in_a_row, self._allowance = last_attempt, 0, _GROWTH * self._allowance
        self._suspect(piece)
        return False

    def failed(self, piece: Batch, *, last_accepted: int, last_attempt: int) -> bool:
        """Note that the sink failed (5xx) on the piece of `next_piece`. Return True if its event is to be rejected."""
        self.isolates = True
        if piece.events > 1:
            self._first_refusal = last_attempt
            if self._whole:
                self._pieces.append(piece)
            elif halves := self._halved(piece, cause_in_one=True, has_failed=True):
                self._balance -= 1
                self._pieces[:0] = halves
            self._whole = False
            return False
        self._whole = False
        tries, last = self._tries.get(id(piece), (0, -1))
        tries += last_accepted > last or not tries
        self._tries[id(piece)] = tries, last_attempt
        if tries >= self._wanted_tries and self._balance >= _SURPLUS:
            del self._tries[id(piece)]
            return True
        self._first_refusal = last_attempt  # only a later acceptance is a reason to send it again
        self._suspect(piece)
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
        if not self._suspects or not self._pieces:
            return bool(self._suspects)
        works = self.isolates and self._balance >= 0
        return self.suspects >= SAMPLES and not works

    def probe(self) -> None:
        """Choose the next piece: the suspect whose last attempt is the oldest.

        In an isolation, suspects and other pieces take turns. So no outage of any length makes the pieces smaller.
        """
        self._look_elsewhere = False
        if self.isolates and self._pieces and self._probing:
            self._whole, self._probing = True, False
            return
        self._pieces.insert(0, self._suspects.pop(0))
        self._probing = True

    def resume(self, *, proven: bool = False) -> None:
        """Send all suspects again. `proven`: reject events that are refused again, without a further acceptance."""
        if proven and self._first_refusal is not None:
            self._first_refusal = -1
        self._balance += not proven  # another batch was accepted
        self._recall()

    def _halved(self, piece: Batch, *, cause_in_one: bool, has_failed: bool = False) -> tuple[Batch, Batch] | None:
        self._second.pop(id(piece), None)
        halves = piece.halves()
        if halves is None:
            return None
        if cause_in_one:
            self._second[id(halves[0])] = halves[1]
        whole = _Halved(self._halves.pop(id(piece), None), has_failed=has_failed)
        self._halves |= dict.fromkeys(map(id, halves), whole)
        return halves

    def _contradicts_a_failure(self) -> bool:
        """Note that the sent piece is accepted. Return True if now all is accepted of a piece that has failed."""
        contradicts = id(self._sent) in self._tries
        whole = self._halves.pop(id(self._sent), None)
        while whole is not None:
            whole.left -= 1
            if whole.left:
                break
            contradicts = contradicts or whole.has_failed
            whole = whole.parent
        return contradicts

    def _suspect(self, piece: Batch) -> None:
        self._suspects.append(piece)
        self._look_elsewhere = True

    def _recall(self) -> None:
        self._pieces[:0] = self._suspects
        self._suspects = []
        self._look_elsewhere = self._probing = False

    def _end_isolation(self) -> None:
        """Go back to the retries: an event that failed alone was accepted, so the failures are about no event."""
        self._tries.clear()
        self._wanted_tries *= _GROWTH
        self._balance = 0
        self.isolates = False
