"""A sink that refuses whole batches: only lines that are proved to be at fault are dropped."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from functools import partial

import pytest

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, lines, position, shipping, until
from tests.logshipper.support import append


class Picky(ScriptedSink):
    """A sink that refuses every batch with one of the `bad` lines, and any batch while it is `broken`."""

    def __init__(self, *bad: str, named: bool = False) -> None:
        super().__init__()
        self.bad = set(bad)
        self.named = named
        self.broken = False
        self.taken: list[str] = []

    async def deliver(self, batch: Batch) -> Outcome:
        found = lines(batch)
        self.attempts.append(found)
        if found[0] in self.held:
            await self.held[found[0]].wait()
        wrong = [index for index, line in enumerate(found) if self.broken or line in self.bad]
        if self.named and len(wrong) < len(found):
            self.taken += [line for index, line in enumerate(found) if index not in wrong]
            return Outcome(rejected=[(index, "400 bad") for index in wrong])
        if wrong:
            raise BatchRefused("the receiver responded with 400: bad", ["400 bad"] * len(found) if self.named else None)
        self.taken += found
        return Outcome()


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def written(pod: Pod, texts: Collection[str]) -> None:
    append(pod.log, "".join(f"{text}\n" for text in texts))
    pod.look()


# -- one bad line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["0", "1234", "4999"])
async def test_one_line_that_is_refused_takes_no_other_line_with_it(pod: Pod, bad: str) -> None:
    written(pod, numbers(5000))
    sink = Picky(bad)
    async with shipping(pod, sink):
        await until(lambda: position(pod) == pod.log.stat().st_size)
    assert sorted(sink.taken, key=int) == [text for text in numbers(5000) if text != bad]
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 1}
    assert len(sink.attempts) <= 2 * math.ceil(math.log2(5000)) + 4
    pod.check()


async def test_a_refused_line_is_told_with_the_receivers_words(pod: Pod) -> None:
    written(pod, ["1", "bad", "3"])
    async with shipping(pod, Picky("bad")) as shipper:
        await until(lambda: position(pod) == 8)
        last = shipper.rejections.last
        assert last
        assert (last["reason"], last["first_byte"], last["events"]) == ("the receiver responded with 400: bad", 2, 1)
        assert shipper.trouble == ""


async def test_a_lone_line_that_is_refused_waits_for_a_witness_and_is_dropped_then(pod: Pod) -> None:
    written(pod, ["1"])
    sink = Picky("bad")
    async with shipping(pod, sink, LOGSHIPPER_RETRY_MIN="1h", LOGSHIPPER_RETRY_MAX="1h") as shipper:
        await until(lambda: position(pod) == 2)
        written(pod, ["bad"])
        shipper.wake()
        await until(
            lambda: "kept until the sink accepts other lines: the receiver responded with 400" in shipper.trouble
        )
        assert sink.health.not_ready() == [], "one line is no proof that the sink is wrong"
        assert position(pod) == 2
        written(pod, ["3"])
        shipper.wake()
        await until(lambda: position(pod) == 8)
        assert shipper.trouble == ""
    assert sink.taken == ["1", "3"]
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 1}


async def test_at_the_end_a_lone_line_that_is_refused_is_dropped_where_others_were_taken(pod: Pod) -> None:
    written(pod, ["1"])
    sink = Picky("bad")
    async with shipping(pod, sink) as shipper:
        await until(lambda: position(pod) == 2)
        written(pod, ["bad"])
        shipper.wake()
    assert position(pod) == 6
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 1}


async def test_hundreds_of_refused_lines_in_a_row_are_found_out_one_by_one(pod: Pod) -> None:
    bad = [f"bad {number}" for number in range(300)]
    written(pod, ["1", *bad, "2", "3"])
    sink = Picky(*bad)
    async with shipping(pod, sink) as shipper:
        await until(lambda: sink.attempts)
        for more in range(6):  # each witness proves four times as many as the one before
            written(pod, [f"more {more}"])
            shipper.wake()
            await until(partial(sink.taken.__contains__, f"more {more}"))
        await until(lambda: position(pod) == pod.log.stat().st_size)
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 300}


# -- a sink that refuses everything --------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["nothing of the lines", "no to each"])
@pytest.mark.parametrize("worked_before", [0, 1])
async def test_a_sink_that_refuses_everything_gets_every_line_once_it_is_mended(
    pod: Pod, says: str, worked_before: int
) -> None:
    named = says == "no to each"
    sink = Picky(named=named)
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="4KiB") as shipper:
        if worked_before:
            written(pod, ["first"])
            shipper.wake()
            await until(lambda: sink.taken == ["first"])
        sink.broken = True
        written(pod, numbers(5000))
        shipper.wake()
        await until(sink.health.not_ready)
        (reason,) = sink.health.not_ready()
        assert reason.startswith("sink default: refused, and kept until")
        assert reason.endswith("the receiver responded with 400: bad")
        before = len(sink.attempts)
        await until(lambda: len(sink.attempts) > before + 70)
        assert all(len(found) == 1 or named for found in sink.attempts[before + 60 :]), "one line is retried"
        assert pod.dropped() == {}
        sink.broken = False
        await until(lambda: position(pod) == pod.log.stat().st_size)
        assert sink.health.not_ready() == []
        assert shipper.trouble == ""
    assert sorted(sink.taken[worked_before:], key=int) == numbers(5000)
    assert pod.dropped() == {}


async def test_after_kill_nine_the_lines_that_were_kept_are_sent_again(pod: Pod) -> None:
    sink = Picky()
    sink.broken = True
    written(pod, numbers(100))
    async with shipping(pod, sink) as shipper:
        await until(lambda: shipper.trouble)
        await pod.store.save()
        sink.broken = False
    pod.kill()
    pod.begin()
    sink = Picky()
    async with shipping(pod, sink):
        pass
    assert set(sink.taken) <= set(numbers(100))


async def test_a_413_to_everything_drops_nothing(pod: Pod) -> None:
    written(pod, numbers(100))
    broken = True

    class Small(Picky):
        async def deliver(self, batch: Batch) -> Outcome:
            if broken:
                self.attempts.append(lines(batch))
                raise BatchTooLarge
            return await super().deliver(batch)

    sink = Small()
    async with shipping(pod, sink):
        await until(sink.health.not_ready)
        broken = False
        await until(lambda: position(pod) == pod.log.stat().st_size)
    assert pod.dropped() == {}
    assert sorted(sink.taken, key=int) == numbers(100)


async def test_it_is_ready_again_once_the_lines_of_several_batches_were_found_out(pod: Pod) -> None:
    sink = Picky(*(f"bad {number}" for number in range(8)))
    async with shipping(
        pod, sink, LOGSHIPPER_IN_FLIGHT="3", LOGSHIPPER_RETRY_MIN="1h", LOGSHIPPER_RETRY_MAX="1h"
    ) as shipper:
        written(pod, ["1"])
        shipper.wake()
        await until(lambda: sink.taken == ["1"])
        written(pod, [f"bad {number}" for number in range(4)])
        shipper.wake()
        await until(lambda: shipper.trouble)
        sink.held["bad 6"], sink.held["good"] = asyncio.Event(), asyncio.Event()
        written(pod, [f"bad {number}" for number in range(4, 8)])
        shipper.wake()
        await until(lambda: sink.attempts[-1][0] == "bad 6")
        written(pod, ["good"])
        shipper.wake()
        await until(lambda: sink.attempts[-1] == ["good"])
        sink.held["bad 6"].set()
        await until(sink.health.not_ready)
        sink.held["good"].set()
        await until(lambda: position(pod) == pod.log.stat().st_size)
        assert sink.health.not_ready() == []
        assert shipper.trouble == ""
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 8}


# -- 413 ----------------------------------------------------------------------------------------------------------


async def test_a_413_makes_later_batches_smaller(pod: Pod) -> None:
    class Small(Picky):
        async def deliver(self, batch: Batch) -> Outcome:
            if batch.size > 10_000:
                self.attempts.append(lines(batch))
                raise BatchTooLarge
            return await super().deliver(batch)

    sink = Small()
    written(pod, ["x" * 999] * 100)
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="32KiB"):
        await until(lambda: position(pod) == 100_000)
        refused = [found for found in sink.attempts if len(found) > 10]
        assert len(refused) <= 3, "the limit is learned, not met again by each batch"
    assert pod.dropped() == {}
