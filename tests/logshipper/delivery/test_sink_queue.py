"""The batches of a sink, and their order."""

from __future__ import annotations

import asyncio
import errno
import os
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest

from sidecars.logshipper.delivery import sink_queue
from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.sinks.encodings import ndjson
from tests.logshipper.pod import Pod
from tests.logshipper.support import append


def test_names_are_served_in_turns(pod: Pod) -> None:
    for name in ("a", "b", "c"):
        append(pod.logs / f"{name}.log", f"{name}\n" * 3)
    pod.look()
    assert sorted(pod.ship(room=2, batches=3)) == ["a", "b", "c"]


def test_a_batch_has_the_lines_of_all_rotated_files_in_their_order(pod: Pod) -> None:
    """One file a batch would make a log that is rotated often wait for BATCH_TIMEOUT as often."""
    append(pod.logs / "other.log", "other\n")
    for number in range(4):
        append(pod.log, f"{number} first\n{number} second\n")
        pod.look()
        pod.rotate()
    pod.look()
    chunks = pod.queues["default"].collect(100_000)
    assert [line for line in pod.lines_of(chunks) if line != "other"] == [
        f"{number} {which}" for number in range(4) for which in ("first", "second")
    ]
    pod.settle(pod.send("default", chunks))
    assert pod.queues["default"].collect(100_000) == []
    pod.check()


def test_a_later_file_is_not_read_before_the_rest_of_an_earlier_one(pod: Pod) -> None:
    append(pod.log, "1\n" * 50)
    pod.look()
    pod.rotate()
    append(pod.log, "2\n")
    pod.look()
    batches = []
    while chunks := pod.queues["default"].collect(40):
        batches.append(pod.lines_of(chunks))
        pod.settle(pod.send("default", chunks))
        pod.check()
    assert len(batches) > 2
    assert [line for batch in batches for line in batch] == ["1"] * 50 + ["2"]


async def test_after_kill_nine_the_very_batch_that_was_on_its_way_is_repeated(pod: Pod) -> None:
    append(pod.log, "1\n2\n")
    await pod.store.save()
    pod.look()
    sent = pod.send("default", pod.queues["default"].collect(2))
    pod.kill()
    append(pod.log, "3\n")
    pod.begin()
    ((again, at),) = pod.queues["default"].resend()
    repeated = InFlightBatch("default", again, pod.process(again), at=at).content
    assert (repeated.key, repeated.at) == (sent.content.key, sent.content.at)
    assert again[0].data == b"1\n"


async def test_a_batch_keeps_the_instant_at_which_it_was_collected_through_restarts_and_in_its_parts(pod: Pod) -> None:
    append(pod.log, "1\n2\n")
    await pod.store.save()
    pod.look()
    sent = pod.send("default", pod.queues["default"].collect(100)).content
    for _ in range(2):  # the second process reads what the first one has written again
        pod.kill()
        pod.begin()
        ((again, at),) = pod.queues["default"].resend()
        assert at == sent.at > 0
    whole = InFlightBatch("default", again, pod.process(again), at=at).content
    halves = whole.halves()
    assert halves is not None
    assert {part.at for part in (*halves, whole.select([1]))} == {sent.at}


def test_the_instant_is_not_a_part_of_the_key(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    chunks = pod.queues["default"].collect(2)
    keys = {InFlightBatch("default", chunks, pod.process(chunks), at=at).content.key for at in (0, 1)}
    assert len(keys) == 1


async def test_a_batch_of_a_version_that_wrote_no_instants_gets_one_that_further_restarts_keep(pod: Pod) -> None:
    append(pod.log, "1\n2\n")
    await pod.store.save()
    pod.look()
    pod.send("default", pod.queues["default"].collect(2))
    (sending,) = pod.store.sink("default").sending
    pod.store.record_sending("default", [sending._replace(at=0)])
    pod.kill()
    pod.begin()
    await pod.store.save()
    ((_, at),) = pod.queues["default"].resend()
    assert at > 0
    pod.kill()
    pod.begin()
    assert [again for _, again in pod.queues["default"].resend()] == [at]


async def test_a_batch_that_was_on_its_way_and_cannot_be_read_now_is_read_when_the_file_can_be(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pod.log, "1\n2\n")
    await pod.store.save()
    pod.look()
    pod.send("default", pod.queues["default"].collect(2))
    pod.kill()
    pod.begin()

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failing:
        failing.setattr(os, "pread", fail)
        assert pod.queues["default"].resend() == []
    pod.look()
    assert pod.ship() == ["1", "2"]


def test_a_long_line_is_shipped_in_pieces_and_stops_nothing(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, "before\n" + "x" * 2500 + "\nafter\n")
    pod.look()
    assert pod.ship(room=100) == ["before", "x" * 1024, "x" * 1024, "x" * 452, "after"]


def test_a_batch_of_empty_lines_does_not_grow_far_beyond_its_room_as_records(pod: Pod) -> None:
    for name in ("a", "b"):
        append(pod.logs / f"{name}.log", name + "\n" * 50_000)
    pod.look()
    in_flight = pod.send("default", pod.queues["default"].collect(10_000))
    assert len(b"".join(ndjson.encode(in_flight.content))) < 100_000
    pod.settle(in_flight)
    assert in_flight.content.events + len(pod.ship(room=10_000)) == 100_000


async def test_a_large_batch_is_read_in_several_turns_of_the_loop_and_repeated_as_it_was(pod: Pod) -> None:
    line = "x" * 1023
    (pod.logs / "other.log").write_text(f"{line}\n" * 1500)
    pod.log.write_text(f"{line}\n" * 2500)
    pod.look()
    await pod.store.save()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    chunks = await pod.queues["default"].collect_batch(16 * 1024 * 1024)
    task.cancel()
    assert max(len(chunk.data) for chunk in chunks) <= sink_queue._SLICE
    assert turns >= 3
    assert sum(len(chunk.data) for chunk in chunks) == 4000 * 1024
    of_one_file = [chunk for chunk in chunks if chunk.first_path == str(pod.log)]
    assert all(one.end == following.position for one, following in pairwise(of_one_file))
    sent = pod.send("default", chunks)
    pod.kill()
    pod.begin()
    pod.look()
    ((again, _),) = pod.queues["default"].resend()
    assert [(chunk.generation, chunk.start, chunk.data) for chunk in again] == [
        (chunk.generation, chunk.start, chunk.data) for chunk in chunks
    ]
    repeated = InFlightBatch("default", again, pod.process(again))
    assert repeated.content.key == sent.content.key
    pod.settle(repeated)
    assert await pod.queues["default"].collect_batch(16 * 1024 * 1024) == []
    pod.check()


def test_many_small_files_are_read_some_in_a_turn_and_some_in_a_batch(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_queue, "_FILES", 4)
    monkeypatch.setattr(sink_queue, "_MOST_CHUNKS", 10)
    for number in range(25):
        append(pod.logs / f"{number}.log", f"{number}\n")
    pod.look()
    queue, got, turns = pod.queues["default"], [], []
    while True:
        reading, batch, count = queue._collect_steps(100_000), None, 0
        while batch is None:
            try:
                next(reading)
                count += 1
            except StopIteration as end:
                batch = end.value
        if not batch:
            break
        turns.append(count)
        pod.settle(pod.send("default", batch))
        got.append([chunk.data for chunk in batch])
        pod.check()
    assert [len(batch) for batch in got] == [10, 10, 5]
    assert all(count >= 1 for count in turns)
    assert sorted(data for batch in got for data in batch) == sorted(f"{number}\n".encode() for number in range(25))
    assert not pod.follower.unsettled
