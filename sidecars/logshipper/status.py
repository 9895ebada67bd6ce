"""The logshipper's part of `/status`: the accounts of files and sinks, why something does not move, and held bytes.

With thousands of files each sink lists the MOST_FILES worst: those with the most pending bytes, and those whose lines
have waited longest; then the files that have grown last. `left_out` says how many are missing. The page is made in
steps, so that the event loop does other work between them. A file's account is compared with its position in one step.
The sum of all accounts is compared with all positions if nothing has moved since the first step.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from heapq import nlargest
from typing import Any, NamedTuple

from sidecars.logshipper.config.limits import MOST_FILES
from sidecars.logshipper.delivery.shipper import Attempts, Shipper
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.open_files import disk_use
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model.ledger import Account, Ledger
from sidecars.logshipper.model.ledger_words import in_bytes, sum_in_words
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.state.store import Store

_SHARE = 20
_AT_ONCE = 500  # files that are looked at in one step: about 2 ms
_MOST_DIFFERENCES = 3  # that the sum of a sink has
_SLOW = 1.0  # seconds after which a batch without an answer is worth a sentence

Steps = Generator[None, None, dict[str, Any]]


class Parts(NamedTuple):
    """The parts of the process that the page is about. `clock` is that of the follower and the shippers."""

    shippers: Sequence[Shipper]
    queues: Mapping[str, SinkQueue]
    ledgers: Mapping[str, Ledger]
    follower: Follower
    store: Store
    clock: Callable[[], float]


class Waiting(NamedTuple):
    """A file, and its bytes on which a sink has not decided. `age`: the wait of its oldest line in s; -1 if none."""

    tail: Tail
    pending: int
    age: float


class Page:
    """The page of one process. Where there are many files, it is made in several turns of the event loop.

    A page of many files that took t seconds of work is used again for 20 t seconds, so that somebody who looks
    at it all the time takes a twentieth of a core at most.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._last: Mapping[str, Any] = {}
        self._until = -math.inf  # when `_last` is too old

    async def members(self) -> Mapping[str, Any]:
        """Return the page, as JSON values."""
        clock = self._parts.clock
        if clock() < self._until:
            return self._last
        making, worked = page_steps(self._parts), 0.0
        while True:
            began = clock()
            try:
                next(making)
            except StopIteration as end:
                self._last = end.value
                break
            worked += clock() - began
            await asyncio.sleep(0)
        if len(self._parts.follower.tails) > _AT_ONCE:
            self._until = clock() + _SHARE * worked
        return self._last


def page_steps(parts: Parts) -> Steps:
    """Return the page, as JSON values, in steps."""
    follower = parts.follower
    rotated = yield from _rotated_steps(follower)
    sinks = {}
    for shipper in parts.shippers:
        sinks[shipper.name] = yield from _sink_steps(shipper, parts, rotated)
    opened = yield from _open_file_steps(follower, rotated)
    return {
        "sinks": sinks,
        "sums": [f"{name}: {sink['sum']}" for name, sink in sinks.items()],
        "left_out": [f"{name}: {sink['left_out']}" for name, sink in sinks.items() if sink["left_out"]],
        **opened,
        "unreadable": follower.access.unreadable,
        "unreadable_count": follower.access.unreadable_count,
        "not_followed": follower.access.not_followed,
        "unreadable_inputs": follower.unreadable_inputs(),
        "missing_rotated_files": follower.missing,
        "state_problem": parts.store.problem,
        "unparsed": parts.shippers[0].unparsed.sentences() if parts.shippers else [],
    }


# -- a sink ------------------------------------------------------------------------------------------------------------


def _sink_steps(shipper: Shipper, parts: Parts, rotated: Container[str]) -> Steps:
    name, ledger, follower = shipper.name, parts.ledgers[shipper.name], parts.follower
    total, first = ledger.total, _counts(ledger.total)
    worst, wrong, pending, missing, oldest = Worst(MOST_FILES), [], 0, 0, -1.0
    tails = [tail for tail in follower.tails.values() if name in tail.sinks]
    for start in range(0, len(tails), _AT_ONCE):
        now = parts.clock()
        some = [_waiting(tail, name, now) for tail in tails[start : start + _AT_ONCE] if _is_followed(tail, follower)]
        pending += sum(one.pending for one in some)
        missing += sum(one.pending for one in some if one.pending and not one.tail.reachable)
        oldest = max([oldest, *(one.age for one in some)])
        wrong += [ledger.check_file(one.tail.state.generation, one.pending) for one in some]
        worst.add(some)
        yield
    if _counts(total) == first:
        wrong.append(ledger.check_total(pending))
    differences = [one for one in wrong if one]
    attempts, now, refuses_all = shipper.attempts(), parts.clock(), shipper.refuses_all
    listed = [one.tail for one in worst.choose() if _is_followed(one.tail, follower)]
    files = [
        _file(tail, ledger, name, now)
        | _words(tail, shipper, parts.queues[name], renamed=tail.state.generation in rotated)
        for tail in listed
    ]
    hidden = total.pending - sum(ledger.files[tail.state.generation].pending for tail in listed)
    return {
        "state": state_of(total.pending, shipper.in_flight, shipper.trouble, refuses_all=refuses_all),
        "why": why(shipper.trouble, attempts, shipper.in_flight, total.pending, missing, waits=oldest >= 0)
        or shipper.held,
        "oldest_seconds": _seconds(oldest),
        "last_success_seconds": _seconds(parts.queues[name].times.last_success_age()),
        **total.as_dict(),
        "dropped_total_bytes": total.dropped.total(),
        "balanced": not differences,
        "sum": "; ".join([sum_in_words(total), *differences[:_MOST_DIFFERENCES]]),
        "trouble": shipper.trouble,
        "failures": attempts.failures,
        "retry_in_seconds": _seconds(attempts.retry_in),
        "last_failure": _last_failure(attempts),
        "last_rejection": shipper.rejections.last,
        "in_flight": shipper.in_flight,
        "files_followed": len(tails),
        "files_left_out": len(tails) - len(files),
        "left_out": left_out(len(tails) - len(files), hidden),
        "files": files,
    }


def state_of(pending: int, in_flight: int, trouble: str, *, refuses_all: bool) -> str:
    """Return the state of a sink in a word or two."""
    if refuses_all:
        return "refuses every line"
    if trouble:
        return "backing off"
    if in_flight:
        return "sending"
    return "pending" if pending else "idle"


def why(trouble: str, attempts: Attempts, in_flight: int, pending: int, missing: int, *, waits: bool) -> str:
    """Return why the sink's bytes do not move, as a sentence; "" if they do.

    `missing`: pending bytes of files that are not where they were. `waits`: a complete line is pending.
    """
    if trouble:
        times = f"failed {attempts.failures} times in a row" if attempts.failures > 1 else "failed once"
        retry = "another attempt runs" if attempts.retry_in is None else f"retry in {attempts.retry_in:.0f} s"
        return f"{trouble}; {times}; {retry}"
    if in_flight:
        sent = attempts.sent or 0.0
        return f"no answer of the sink for {sent:.0f} s" if sent >= _SLOW else ""
    if missing:
        return f"{in_bytes(missing)} wait for files that are not where they were"
    return f"{in_bytes(pending)} wait for the end of a line" if pending and not waits else ""


def left_out(files: int, pending: int) -> str:
    """Return the sentence about the files that are not listed; "" if all are."""
    if files <= 0:
        return ""
    return (
        f"{files} more {'file is' if files == 1 else 'files are'} not listed, with {in_bytes(max(0, pending))} pending"
    )


def _last_failure(attempts: Attempts) -> dict[str, object] | None:
    if attempts.last_failure is None:
        return None
    reason, age = attempts.last_failure
    return {"reason": reason, "age_seconds": _seconds(age)}


def _counts(total: Account) -> tuple[int, int, int]:
    return total.read, total.delivered, total.dropped.total()


# -- files -------------------------------------------------------------------------------------------------------------


class Worst:
    """The files that are listed for one sink: see the module's text. `most` is their number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_pending: list[Waiting] = []
        self._by_age: list[Waiting] = []
        self._by_growth: list[Waiting] = []

    def add(self, files: Sequence[Waiting]) -> None:
        """Take some files into account."""
        waiting = [one for one in files if one.pending]
        if waiting:
            self._by_pending = nlargest(self._most, [*self._by_pending, *waiting], key=lambda one: one.pending)
            self._by_age = nlargest(self._most, [*self._by_age, *waiting], key=lambda one: one.age)
        if len(self._by_pending) < self._most:
            self._by_growth = nlargest(self._most, [*self._by_growth, *files], key=lambda one: one.tail.quiet_since)

    def choose(self) -> list[Waiting]:
        """Return the files, the worst first: by pending bytes and by age in turns, then by growth."""
        in_turns = [one for pair in zip(self._by_pending, self._by_age, strict=True) for one in pair]
        chosen: dict[str, Waiting] = {}
        for one in (*in_turns, *self._by_growth):
            chosen.setdefault(one.tail.state.generation, one)
        return list(chosen.values())[: self._most]


def file_state(*, dormant: bool, parked: bool, is_open: bool, renamed: bool, deleted: bool) -> str:
    """Return the state of a followed file in a word."""
    if dormant or not (parked or is_open):
        return "missing"
    if deleted:
        return "deleted"
    if renamed:
        return "rotated"
    return "closed" if parked else "open"


def waits_for(
    pending: int, *, in_flight: bool, complete: bool, reachable: bool, in_trouble: bool, limited: bool
) -> str:
    """Return what the pending bytes of a file wait for; "" if none are pending. `complete`: an event is complete.
    `limited`: RATE_LIMIT holds the file.
    """
    if not pending:
        return ""
    if in_flight:
        return "the sink's answer"
    if not reachable:
        return "the file: it is not where it was"
    if not complete:
        return "the end of its last line"
    if in_trouble:
        return "the sink"
    return "RATE_LIMIT" if limited else "its turn"


def _is_followed(tail: Tail, follower: Follower) -> bool:
    return tail.state.generation in follower.tails


def _waiting(tail: Tail, sink: str, now: float) -> Waiting:
    pending = tail.pending(sink)
    oldest = tail.oldest(sink) if pending else None
    return Waiting(tail, pending, -1.0 if oldest is None else max(0.0, now - oldest))


def _file(tail: Tail, ledger: Ledger, sink: str, now: float) -> dict[str, Any]:
    age = _waiting(tail, sink, now).age
    return {
        "generation": tail.state.generation,
        "file": tail.state.first_path,
        "path": tail.state.path,
        "position": tail.position(sink).offset,
        "size": tail.state.size,
        "waited_seconds": _seconds(age),
        **ledger.files[tail.state.generation].as_dict(),
    }


def _words(tail: Tail, shipper: Shipper, queue: SinkQueue, *, renamed: bool) -> dict[str, Any]:
    use = disk_use(tail)
    deleted = use is not None and use.is_deleted
    state = file_state(
        dormant=tail.dormant, parked=tail.parked, is_open=use is not None, renamed=renamed, deleted=deleted
    )
    waiting = waits_for(
        tail.pending(shipper.name),
        in_flight=tail.in_flight(shipper.name),
        complete=tail.has_event_for(shipper.name),
        reachable=tail.reachable,
        in_trouble=bool(shipper.trouble),
        limited=queue.is_limited(tail),
    )
    return {"state": state, "held_bytes": use.size if use and (renamed or deleted) else 0, "waits_for": waiting}


# -- rotated and deleted files -----------------------------------------------------------------------------------------


def _rotated_steps(follower: Follower) -> Generator[None, None, set[str]]:
    """Return the generations that are no logs any more: renamed, or over, or another file has the log's name now."""
    newest: dict[str, Tail] = {}
    rotated: set[str] = set()
    tails = list(follower.tails.values())
    for start in range(0, len(tails), _AT_ONCE):
        for tail in tails[start : start + _AT_ONCE]:
            other = newest.get(tail.state.path)
            if other is None or other.number < tail.number:
                newest[tail.state.path] = tail
        yield
    for start in range(0, len(tails), _AT_ONCE):
        for tail in tails[start : start + _AT_ONCE]:
            if tail.is_renamed or tail.ending is Ending.OVER or newest.get(tail.state.path, tail) is not tail:
                rotated.add(tail.state.generation)
        yield
    return rotated


def _open_file_steps(follower: Follower, rotated: Container[str]) -> Steps:
    """Return `held`, the open files that are deleted or rotated with their bytes on the disk, and `open_files`."""
    held = dict.fromkeys(("deleted_files", "deleted_bytes", "rotated_files", "rotated_bytes"), 0)
    tails = list(follower.tails.values())
    for start in range(0, len(tails), _AT_ONCE):
        for tail in tails[start : start + _AT_ONCE]:
            use = disk_use(tail)
            if use is not None and (use.is_deleted or tail.state.generation in rotated):
                word = "deleted" if use.is_deleted else "rotated"
                held[f"{word}_files"] += 1
                held[f"{word}_bytes"] += use.size
        yield
    return {"held": held, "open_files": follower.open_files.status()}


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None or seconds < 0 else round(seconds, 3)
