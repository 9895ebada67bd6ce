"""A sink that refuses a batch as a whole: only lines that were found out are dropped, and none while it refuses all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.batch_size import SMALLEST, BatchSizeLimit
from sidecars.logshipper.delivery.refusal_search import SAMPLES, RefusalSearch
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome
from tests.logshipper.delivery.test_shipper import Scripted, lines, position, shipping, until
from tests.logshipper.pod import Pod
from tests.logshipper.support import a_batch, a_chunk, append


class Picky(Scripted):
    """A sink that refuses every batch with one of the `bad` lines, and any batch while it is `broken`."""

    def __init__(self, *bad: str, named: bool = False) -> None:
        super().__init__()
        self.bad = set(bad)
        self.named = named
        self.broken = False
        self.taken: list[str] = []

    async def deliver(self, batch: Batch) -> Outcome:
        found = lines(batch)
        self.asked.append(found)
        if found[0] in self.held:
            await self.held[found[0]].wait()
        wrong = [index for index, line in enumerate(found) if self.broken or line in self.bad]
        if self.named and len(wrong) < len(found):
            self.taken += [line for index, line in enumerate(found) if index not in wrong]
            return Outcome(rejected=[(index, "400 bad") for index in wrong])
        if wrong:
            raise BatchRefused("the receiver answered 400: bad", ["400 bad"] * len(found) if self.named else None)
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
    assert len(sink.asked) <= 2 * math.ceil(math.log2(5000)) + 4
    pod.check()


async def test_a_refused_line_is_told_with_the_receivers_words(pod: Pod) -> None:
    written(pod, ["1", "bad", "3"])
    async with shipping(pod, Picky("bad")) as shipper:
        await until(lambda: position(pod) == 8)
        last = shipper.rejections.last
        assert last
        assert (last["reason"], last["first_byte"], last["events"]) == ("the receiver answered 400: bad", 2, 1)
        assert shipper.trouble == ""


async def test_a_lone_line_that_is_refused_waits_for_a_witness_and_is_dropped_then(pod: Pod) -> None:
    written(pod, ["1"])
    sink = Picky("bad")
    async with shipping(pod, sink, LOGSHIPPER_RETRY_MIN="1h", LOGSHIPPER_RETRY_MAX="1h") as shipper:
        await until(lambda: position(pod) == 2)
        written(pod, ["bad"])
        shipper.wake()
        await until(lambda: "kept until the sink takes other lines: the receiver answered 400" in shipper.trouble)
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
        await until(lambda: sink.asked)
        for more in range(6):  # each is a witness for four times as many as the one before
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
        assert reason.endswith("the receiver answered 400: bad")
        asked = len(sink.asked)
        await until(lambda: len(sink.asked) > asked + 70)
        assert all(len(found) == 1 or named for found in sink.asked[asked + 60 :]), "one line is tried, again and again"
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
                self.asked.append(lines(batch))
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
        await until(lambda: sink.asked[-1][0] == "bad 6")
        written(pod, ["good"])
        shipper.wake()
        await until(lambda: sink.asked[-1] == ["good"])
        sink.held["bad 6"].set()
        await until(sink.health.not_ready)
        sink.held["good"].set()
        await until(lambda: position(pod) == pod.log.stat().st_size)
        assert sink.health.not_ready() == []
        assert shipper.trouble == ""
    assert pod.ledgers["default"].total.dropped_lines == {"rejected": 8}


# -- the search ----------------------------------------------------------------------------------------------------


def searched(count: int, bad: set[int]) -> tuple[list[int], list[int], int, bool]:
    """What the sink took, what was given up, the requests, and whether the search is stuck."""
    search = RefusalSearch(a_batch(a_chunk(b"x\n" * count)))
    taken: list[int] = []
    dropped: list[int] = []
    requests = yes = 0
    while not search.is_stuck and (piece := search.next()) is not None:
        requests += 1
        events = [offset // 2 for records in piece.records for offset in records.offsets]
        if bad.isdisjoint(events):
            taken += events
            yes = requests
            search.taken()
        elif search.refused(piece, yes=yes, asked=requests):
            dropped += events
            search.resume()
    return taken, dropped, requests, search.is_stuck


@given(
    st.integers(2, 400).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), max_size=6)))
)
def test_exactly_the_bad_events_are_given_up_at_the_cost_of_a_logarithm_each(case: tuple[int, set[int]]) -> None:
    count, bad = case
    taken, dropped, requests, is_stuck = searched(count, bad)
    if is_stuck:
        assert len(bad) >= min(count, SAMPLES)
        assert not taken
        return
    assert sorted(taken) == sorted(set(range(count)) - bad)
    assert sorted(dropped) == sorted(bad)
    assert requests <= 1 + 2 * len(bad) * (math.ceil(math.log2(count)) + 1)


@given(st.integers(1, 3000))
def test_where_all_are_refused_none_is_given_up_and_the_search_is_short(count: int) -> None:
    taken, dropped, requests, is_stuck = searched(count, set(range(count)))
    assert (taken, dropped, is_stuck) == ([], [], True)
    assert requests <= 2 * SAMPLES * (math.ceil(math.log2(count)) + 1)


def test_an_answer_that_was_on_its_way_when_the_sink_began_to_refuse_proves_nothing() -> None:
    search = RefusalSearch(a_batch(a_chunk(b"1\n")))
    piece = search.next()
    assert piece
    assert not search.refused(piece, yes=0, asked=2), "the second request is on its way, to another batch"
    assert not search.is_proven(2)
    assert search.is_proven(3)


def test_a_sink_that_is_mended_and_breaks_again_gets_nothing_dropped() -> None:
    search = RefusalSearch(a_batch(a_chunk(b"1\n2\n")))
    for asked in (1, 2, 3):
        piece = search.next()
        assert piece
        assert not search.refused(piece, yes=0, asked=asked)
    search.probe()
    assert search.next()
    search.taken()
    piece = search.next()
    assert piece
    assert not search.refused(piece, yes=4, asked=5)
    assert search.is_stuck


# -- 413 -----------------------------------------------------------------------------------------------------------


def sized(size: int) -> Batch:
    return a_batch(a_chunk(b"x" * (size - 1) + b"\n"))


async def test_a_413_makes_later_batches_smaller(pod: Pod) -> None:
    class Small(Picky):
        async def deliver(self, batch: Batch) -> Outcome:
            if batch.size > 10_000:
                self.asked.append(lines(batch))
                raise BatchTooLarge
            return await super().deliver(batch)

    sink = Small()
    written(pod, ["x" * 999] * 100)
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="32KiB"):
        await until(lambda: position(pod) == 100_000)
        refused = [found for found in sink.asked if len(found) > 10]
        assert len(refused) <= 3, "the limit is learned, not met again by each batch"
    assert pod.dropped() == {}


def test_the_room_shrinks_to_what_was_taken_and_grows_again_slowly() -> None:
    room = BatchSizeLimit(1_000_000)
    room.taken(sized(1000))
    assert not room.is_limited
    room.too_large(sized(800_000))
    assert room.bytes == 400_000
    for _ in range(31):
        room.taken(sized(390_000))
    assert room.bytes == 400_000
    room.taken(sized(390_000))
    assert room.bytes == 500_000
    room.too_large(sized(490_000))
    assert room.bytes == 390_000
    for _ in range(1000):
        room.taken(sized(room.bytes))
    assert room.bytes == 1_000_000
    assert not room.is_limited


def test_small_batches_prove_nothing_about_larger_ones() -> None:
    room = BatchSizeLimit(1_000_000)
    room.too_large(sized(800_000))
    for _ in range(1000):
        room.taken(sized(1000))
    assert room.bytes == 400_000


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=60))
def test_the_room_is_never_less_than_the_smallest_nor_more_than_the_setting(told: list[tuple[bool, int]]) -> None:
    room = BatchSizeLimit(100_000)
    for is_taken, size in told:
        (room.taken if is_taken else room.too_large)(sized(size))
        assert SMALLEST <= room.bytes <= 100_000
