"""The shipper: batches that are repeated, events that are rejected, and the step at which a position moves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchTooLarge, Outcome, RetryLater
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, lines, position, shipping, until
from tests.logshipper.support import append


async def test_the_position_moves_with_the_yes_and_not_before(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    sink = ScriptedSink(lambda _: RetryLater("not now"))
    sink.held["1"] = asyncio.Event()
    async with shipping(pod, sink) as shipper:
        await until(lambda: sink.attempts)
        assert position(pod) == 0
        sink.held["1"].set()
        await until(lambda: shipper.trouble == "not now")
        assert position(pod) == 0
        await until(lambda: position(pod) == 2)
        assert shipper.trouble == ""
    assert sink.attempts == [["1"], ["1"]]


async def test_what_the_sink_wants_again_is_sent_alone_with_the_same_ids_before_the_position_moves(pod: Pod) -> None:
    append(pod.log, "1\n2\n3\n")
    pod.look()
    seen: list[int] = []

    def second_again(_batch: Batch) -> Outcome:
        return Outcome(retry=[1], retry_reason="busy")

    def note(_batch: Batch) -> Outcome:
        seen.append(position(pod))
        return Outcome()

    sink = ScriptedSink(second_again, note)
    async with shipping(pod, sink):
        await until(lambda: position(pod) == 6)
    assert sink.attempts == [["1", "2", "3"], ["2"]]
    assert sink.ids[1] == [sink.ids[0][1]]
    assert seen == [0]
    assert pod.ledgers["default"].total.lines == 3


async def test_what_is_rejected_item_by_item_is_counted_and_the_rest_is_delivered(pod: Pod) -> None:
    append(pod.log, "1\nbad\n3\nbusy\n")
    pod.look()
    sink = ScriptedSink(
        lambda _: Outcome(rejected=[(1, "mapping")], retry=[3], retry_reason="busy"),
        lambda _: Outcome(rejected=[(0, "mapping")]),
    )
    async with shipping(pod, sink):
        pass
    total = pod.ledgers["default"].total
    assert (total.lines, total.delivered) == (2, 4)
    assert total.dropped == {"rejected": len("bad\nbusy\n")}
    assert total.dropped_lines == {"rejected": 2}
    pod.check()


async def test_refusals_that_are_not_named_are_counted_as_many_as_they_are_and_all_may_be_read_in_the_letters(
    pod: Pod, tmp_path: Path
) -> None:
    append(pod.log, "1\n2\n3\n")
    pod.look()
    sink = ScriptedSink(lambda _: Outcome(unnamed_rejections=(2, "too old")))
    async with shipping(pod, sink, LOGSHIPPER_ON_REJECT=str(tmp_path / "letters")):
        pass
    total = pod.ledgers["default"].total
    assert (total.lines, total.dropped_lines) == (1, {"dead_letter": 2})
    letters = (tmp_path / "letters" / "default.ndjson").read_text().splitlines()
    assert [json.loads(letter)["message"] for letter in letters] == ["1", "2", "3"]
    pod.check()


async def test_dead_letters_are_on_disk_with_id_and_reason_before_the_position_moves(pod: Pod, tmp_path: Path) -> None:
    append(pod.log, "1\nbad\n")
    pod.look()
    letters = tmp_path / "letters" / "default.ndjson"
    sink = ScriptedSink(lambda _: Outcome(rejected=[(1, "no such field")]))
    async with shipping(pod, sink, LOGSHIPPER_ON_REJECT=str(tmp_path / "letters")):
        await until(lambda: position(pod))
        (letter,) = [json.loads(line) for line in letters.read_text().splitlines()]
    assert letter["id"] == sink.ids[0][1]
    assert (letter["sink"], letter["reason"], letter["message"]) == ("default", "no such field", "bad")
    assert pod.ledgers["default"].total.dropped == {"dead_letter": 4}


async def test_dead_letters_that_cannot_be_written_are_waited_for(pod: Pod, tmp_path: Path) -> None:
    append(pod.log, "1\nbad\n")
    pod.look()
    (tmp_path / "letters").write_text("in the way")
    sink = ScriptedSink(lambda _: Outcome(rejected=[(1, "no")]))
    async with shipping(pod, sink, LOGSHIPPER_ON_REJECT=f"{tmp_path}/letters") as shipper:
        await until(lambda: "letters" in shipper.trouble)
        assert position(pod) == 0
        (tmp_path / "letters").unlink()
        await until(lambda: position(pod) == 6)
        assert shipper.trouble == ""


async def test_a_batch_that_is_too_large_is_halved_and_settled_as_a_whole(pod: Pod) -> None:
    append(pod.log, "1\n2\n3\n")
    pod.look()

    def only_one(batch: Batch) -> Outcome | Exception:
        if lines(batch) == ["2"]:
            return BatchTooLarge()
        return BatchTooLarge() if batch.events > 1 else Outcome()

    async with shipping(pod, ScriptedSink(*[only_one] * 5)):
        pass
    assert pod.ledgers["default"].total.dropped == {"rejected": 2}
    assert pod.ledgers["default"].total.lines == 2


# -- several batches on their way -----------------------------------------------------------------------------------


async def test_with_several_on_their_way_positions_still_move_in_order(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    block = "x" * 4093  # a batch holds this and the line before it
    for name in ("1", "2", "3"):
        append(pod.log, f"{name}\n{block}\n")
    pod.look()
    sink = ScriptedSink()
    sink.held = {"1": asyncio.Event(), "3": asyncio.Event()}
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="4KiB", LOGSHIPPER_IN_FLIGHT="3") as shipper:
        await until(lambda: len(sink.attempts) == 3)
        await until(lambda: [in_flight.is_settled for in_flight in shipper._in_flight] == [False, True, False])
        assert position(pod) == 0, "the second has its yes, and the first has not"
        sink.held["1"].set()
        await until(lambda: position(pod) == 2 * (len(block) + 3))
        sink.held["3"].set()
    assert position(pod) == 3 * (len(block) + 3)
    assert [asked[0] for asked in sink.attempts] == ["1", "2", "3"]


async def test_a_sink_that_keeps_order_gets_one_batch_at_a_time(pod: Pod) -> None:
    for name in ("1", "2"):
        append(pod.log, name + "x" * 4094 + "\n")
    pod.look()
    sink = ScriptedSink(max_in_flight=1)
    sink.held = {"1" + "x" * 4094: asyncio.Event()}
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="4KiB", LOGSHIPPER_IN_FLIGHT="8"):
        await until(lambda: sink.attempts)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(sink.attempts) == 1
        sink.held.popitem()[1].set()
    assert len(sink.attempts) == 2


async def test_while_the_sink_is_in_trouble_the_eldest_alone_knocks(pod: Pod) -> None:
    for name in ("1", "2", "3"):
        append(pod.log, name + "x" * 4094 + "\n")
    pod.look()
    down = True

    def response(_batch: Batch) -> Outcome | Exception:
        return RetryLater("down") if down else Outcome()

    sink = ScriptedSink(*[response] * 100)
    async with shipping(pod, sink, LOGSHIPPER_BATCH_SIZE="4KiB", LOGSHIPPER_IN_FLIGHT="3"):
        await until(lambda: len(sink.attempts) >= 8)
        others = [first for asked in sink.attempts if (first := asked[0][0]) != "1"]
        assert len(others) == len(set(others)), "each later batch was sent once at most, before the trouble was known"
        down = False
        await until(lambda: position(pod) == 3 * 4096)


async def test_after_kill_nine_all_batches_on_their_way_are_repeated_as_they_were(pod: Pod) -> None:
    append(pod.log, "1\n2\n3\n4\n")
    await pod.store.save()
    pod.look()
    sent = [pod.send("default", pod.queues["default"].collect(2)) for _ in range(3)]
    pod.settle(sent[0])
    pod.kill()
    append(pod.log, "5\n")
    pod.begin()
    sink = ScriptedSink()
    async with shipping(pod, sink):
        pass
    assert sink.attempts == [["2"], ["3"], ["4", "5"]]
    assert pod.ledgers["default"].total.read == 8, "what is left of the file"
    pod.check()


# -- at the end ------------------------------------------------------------------------------------------------------


async def test_at_the_end_a_sink_that_takes_some_of_it_is_not_given_up(pod: Pod) -> None:
    append(pod.log, "1\n2\n3\n")
    pod.look()
    sink = ScriptedSink(lambda _: Outcome(retry=[1, 2]), lambda _: RetryLater("busy"))
    sink.held = {"2": asyncio.Event()}
    async with shipping(pod, sink, LOGSHIPPER_GIVE_UP_AFTER="1h") as shipper:
        shipper.drain()
        shipper.begin_deadline()
        shipper._availability._last_decision = -10_000.0
        assert shipper.patience_left() < 0
        await until(lambda: len(sink.attempts) == 2)
        assert shipper.patience_left() > 0
        sink.held["2"].set()


async def test_at_the_end_a_sink_that_says_nothing_is_soon_given_up_and_a_slow_one_is_not(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    sink = ScriptedSink(*[lambda _: RetryLater("down")] * 3)
    async with shipping(pod, sink, LOGSHIPPER_GIVE_UP_AFTER="50ms") as shipper:
        shipper.drain()
        shipper.begin_deadline()
        assert 0 < shipper.patience_left() < 0.1
        shipper._availability._slowest = 10.0
        assert shipper.patience_left() > 10
