"""A sink that fails (5xx) because of one line, and one that fails at random: only the first one has lines rejected."""

from __future__ import annotations

import asyncio
import random

import pytest

from sidecars.logshipper.delivery import batch_delivery
from sidecars.logshipper.delivery.refusal_search import TRIES, RefusalSearch
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, lines, position, shipping, until
from tests.logshipper.support import a_batch, a_chunk, append


class Fragile(ScriptedSink):
    """A sink that fails with 500 on each batch with one of the `bad` lines, and on any while it is `down`."""

    def __init__(self, *bad: str, refuses: bool = False) -> None:
        super().__init__()
        self.bad = set(bad)
        self.refuses = refuses
        self.down = False
        self.taken: list[str] = []

    async def deliver(self, batch: Batch) -> Outcome:
        found = lines(batch)
        self.attempts.append(found)
        if self.down or not self.bad.isdisjoint(found):
            if self.refuses:
                raise BatchRefused("the receiver responded with 400")
            raise RetryLater("the receiver responded with 500", may_be_about_an_event=True)
        self.taken += found
        return Outcome()


def written(pod: Pod, *texts: str) -> None:
    append(pod.log, "".join(f"{text}\n" for text in texts))
    pod.look()


async def _witnessed(pod: Pod, sink: Fragile, shipper: Shipper) -> None:
    """Let the app write one more line, until the sink has it or the batch before it is settled."""
    before = len(sink.taken)
    written(pod, "witness")
    shipper.wake()
    await until(lambda: len(sink.taken) > before)
    attempts = len(sink.attempts)
    await until(lambda: len(sink.attempts) > attempts or position(pod) == pod.log.stat().st_size)


QUICK = {"LOGSHIPPER_RETRY_MIN": "10ms", "LOGSHIPPER_RETRY_MAX": "10ms"}


@pytest.mark.parametrize("refuses", [False, True])
async def test_five_lines_of_fifty_thousand_are_found_in_150_requests_and_all_others_are_delivered(
    pod: Pod, *, refuses: bool
) -> None:
    texts = [str(number) for number in range(50_000)]
    bad = {"17", "11111", "22222", "33333", "44444"}
    written(pod, *texts)
    sink = Fragile(*bad, refuses=refuses)
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="16MiB", **QUICK) as shipper:
        await until(lambda: position(pod) == pod.log.stat().st_size)
        assert len(sink.attempts) <= 150
        assert shipper.trouble == ""
    assert sorted(sink.taken, key=int) == [text for text in texts if text not in bad]
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 5}
    pod.check()


async def test_the_next_batch_with_such_a_line_is_searched_sooner(pod: Pod) -> None:
    sink = Fragile("bad 1", "bad 2")
    async with shipping(pod, sink, **QUICK) as shipper:
        for number in (1, 2):
            before = len(sink.attempts)
            written(pod, *map(str, range(50)), f"bad {number}", *map(str, range(50)))
            shipper.wake()
            await until(
                lambda: shipper.trouble.startswith("failed for until") or position(pod) == pod.log.stat().st_size
            )
            while position(pod) < pod.log.stat().st_size:
                await _witnessed(pod, sink, shipper)
            whole = [found for found in sink.attempts[before:] if len(found) == 101]
            assert len(whole) == (10 if number == 1 else 3)
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 2}


async def test_an_outage_of_any_length_costs_no_line_and_is_no_reason_not_to_be_ready(pod: Pod) -> None:
    sink = Fragile()
    sink.down = True
    written(pod, *map(str, range(200)))
    async with shipping(pod, sink, **QUICK):
        await until(lambda: len(sink.attempts) > 60)
        assert sink.health.not_ready() == []
        sink.down = False
        await until(lambda: position(pod) == pod.log.stat().st_size)
    assert pod.dropped() == {}
    assert sorted(sink.taken, key=int) == [str(number) for number in range(200)]


async def test_a_line_that_the_sink_fails_on_holds_no_other_line_up(pod: Pod) -> None:
    sink = Fragile("bad")
    async with shipping(pod, sink, **QUICK) as shipper:
        written(pod, "bad")
        shipper.wake()
        await until(lambda: shipper.trouble.startswith("failed for until"))
        while position(pod) < pod.log.stat().st_size:
            await _witnessed(pod, sink, shipper)
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 1}


async def test_nothing_is_halved_with_isolate_after_0(pod: Pod) -> None:
    sink = Fragile("bad")
    written(pod, "1", "bad")
    async with shipping(pod, sink, LOGSHIPPER_ISOLATE_AFTER="0", **QUICK):
        await until(lambda: len(sink.attempts) > 20)
        assert all(found == ["1", "bad"] for found in sink.attempts)
        sink.bad.clear()
    assert pod.dropped() == {}


async def test_a_long_search_pauses_after_64_requests(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_delivery, "REQUESTS", 8)
    bad = [str(number) for number in range(0, 400, 40)]
    written(pod, *map(str, range(400)))
    sink = Fragile(*bad, refuses=True)
    async with shipping(pod, sink, LOGSHIPPER_RETRY_MIN="1h", LOGSHIPPER_RETRY_MAX="1h"):
        await until(lambda: len(sink.attempts) == 7)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sink.attempts) == 7
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 10}, "the drain waits for no pause"


def test_a_sink_that_fails_at_random_has_no_line_rejected_but_in_very_rare_cases() -> None:
    """The loop as `batch_delivery` has it. A search begins after ten failures in a row, which is rare already."""
    chance, batch = random.Random(17), a_batch(a_chunk(b"x\n" * 128))
    rejected = sum(_rejected_at_random(batch, chance, fails) for fails in (0.3, 0.6, 0.8) for _ in range(60))
    assert rejected <= 1


def _rejected_at_random(batch: Batch, chance: random.Random, fails: float) -> int:
    search, rejected, attempts, accepted = RefusalSearch(batch), 0, 0, 0
    while True:
        if search.is_stuck:
            attempts += 1
            if chance.random() < fails:
                search.probe()
            else:
                accepted = attempts
                search.resume()
        piece = search.next_piece()
        if piece is None:
            return rejected
        for _ in range(1 if search.isolates or not attempts else 10):
            attempts += 1
            if works := chance.random() >= fails:
                break
        if works:
            accepted = attempts
            search.accepted()
        else:
            rejected += search.failed(piece, last_accepted=accepted, last_attempt=attempts)


def test_a_lone_event_is_rejected_only_after_several_tries_with_an_acceptance_between_each_two() -> None:
    search = RefusalSearch(a_batch(a_chunk(b"x\n")))
    tries, attempts, accepted = 0, 0, 0
    for _ in range(20):  # without an acceptance no number of tries is enough
        piece = search.next_piece()
        assert piece
        attempts += 1
        assert not search.failed(piece, last_accepted=accepted, last_attempt=attempts)
        assert search.is_stuck
        search.probe()
    while True:
        piece = search.next_piece()
        assert piece
        attempts += 1
        tries += 1
        if search.failed(piece, last_accepted=accepted, last_attempt=attempts):
            break
        attempts += 1
        accepted = attempts
        search.resume()
    assert tries >= TRIES
