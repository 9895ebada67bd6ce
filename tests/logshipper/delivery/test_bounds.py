"""RETRY_LIMIT and RETRY_MAX_AGE, and the end of a Job whose last lines are refused."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from sidecars.logshipper.delivery import sink_queue
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from tests.logshipper.delivery.test_isolation import QUICK, Fragile, written
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, position, shipping, until


async def test_without_a_bound_attempts_never_end(pod: Pod) -> None:
    sink = ScriptedSink(*([lambda _: RetryLater("503")] * 50))
    written(pod, "1", "2")
    async with shipping(pod, sink, **QUICK):
        pass
    assert len(sink.attempts) == 51
    assert pod.dropped() == {}


async def test_a_batch_that_failed_too_often_is_dropped_and_counted_as_expired(pod: Pod) -> None:
    sink = ScriptedSink(*([lambda _: RetryLater("503")] * 3))
    written(pod, "1", "2")
    async with shipping(pod, sink, LOGSHIPPER_RETRY_LIMIT="3", **QUICK) as shipper:
        await until(lambda: position(pod) == 4)
        assert shipper.batches["expired"] == 1
        assert shipper.trouble == ""
        last = shipper.rejections.last
        assert last
        assert last["reason"] == "expired: 503 (after 3 attempts)"
        written(pod, "3")
        shipper.wake()
    assert sink.attempts == [["1", "2"]] * 3 + [["3"]]
    assert pod.dropped() == {"expired": 4}
    assert pod.ledgers["default"].total.dropped_lines == {"expired": 2}
    pod.check()


async def test_what_the_sink_has_accepted_of_the_batch_is_not_given_up(pod: Pod) -> None:
    again = [lambda _: Outcome(retry=[1], retry_reason="429")] + [lambda _: RetryLater("503")] * 2
    sink = ScriptedSink(*again)
    written(pod, "1", "2", "3")
    async with shipping(pod, sink, LOGSHIPPER_RETRY_LIMIT="3", **QUICK):
        await until(lambda: position(pod) == 6)
    assert sink.attempts == [["1", "2", "3"], ["2"], ["2"]]
    assert pod.dropped() == {"expired": 2}
    assert pod.ledgers["default"].total.lines == 2


async def test_a_given_up_batch_is_in_the_dead_letters_with_the_reason(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_ON_REJECT=f"{tmp_path}/dead")
    sink = ScriptedSink(lambda _: RetryLater("no route"))
    written(pod, "1", "2")
    async with shipping(pod, sink, LOGSHIPPER_RETRY_LIMIT="1", **QUICK):
        pass
    letters = [json.loads(line) for line in (tmp_path / "dead" / "default.ndjson").read_text().splitlines()]
    assert [letter["message"] for letter in letters] == ["1", "2"]
    assert {letter["reason"] for letter in letters} == {"expired: no route (after 1 attempts)"}
    assert pod.dropped() == {"expired": 4}


async def test_the_age_of_a_batch_begins_with_its_first_attempt_in_any_process(pod: Pod) -> None:
    await pod.store.save()
    written(pod, "1")
    pod.queues["default"] = sink_queue.SinkQueue(
        "default", pod.follower, pod.store, lambda: time.time_ns() - 3600 * 10**9
    )
    pod.send("default", pod.queues["default"].collect(100))
    pod.kill()
    pod.begin()
    pod.look()
    sink = ScriptedSink(lambda _: RetryLater("503"))
    async with shipping(
        pod, sink, LOGSHIPPER_RETRY_MAX_AGE="30m", LOGSHIPPER_RETRY_MIN="1h", LOGSHIPPER_RETRY_MAX="1h"
    ):
        await until(lambda: position(pod) == 2)
    assert sink.attempts == [["1"]]
    assert pod.dropped() == {"expired": 2}


async def test_a_clock_that_was_set_back_makes_no_batch_older(pod: Pod) -> None:
    at = time.time_ns() + 3600 * 10**9
    assert pod.queues["default"].age_of(at) == 0


async def test_lines_that_are_refused_are_given_up_at_the_bound_too(pod: Pod) -> None:
    sink = Fragile(refuses=True)
    sink.down = True
    written(pod, *map(str, range(20)))
    async with shipping(pod, sink, LOGSHIPPER_RETRY_LIMIT="3", **QUICK):
        await until(lambda: position(pod) == pod.log.stat().st_size)
        assert sink.health.not_ready() == []
    assert pod.dropped() == {"expired": pod.log.stat().st_size}
    pod.check()


# -- the end of a Job --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("worked_before", [False, True])
async def test_a_job_whose_last_lines_are_all_refused_ends_and_drops_none_of_them(
    pod: Pod, caplog: pytest.LogCaptureFixture, *, worked_before: bool
) -> None:
    sink = Fragile(refuses=True)
    async with asyncio.timeout(20), shipping(pod, sink, **QUICK) as shipper:
        if worked_before:
            written(pod, "first")
            shipper.wake()
            await until(lambda: sink.taken == ["first"])
        sink.down = True
        written(pod, *map(str, range(30)))
    assert pod.dropped() == {}
    assert position(pod) == (6 if worked_before else 0)
    assert pod.queues["default"].unsettled() == pod.log.stat().st_size - position(pod)
    assert "a sink refuses the last lines" in caplog.text


async def test_a_job_whose_sink_fails_is_not_given_up(pod: Pod) -> None:
    sink = Fragile()
    sink.down = True
    written(pod, *map(str, range(30)))
    async with shipping(pod, sink, **QUICK) as shipper:
        shipper.drain()
        await until(lambda: len(sink.attempts) > 80)
        sink.down = False
    assert sorted(sink.taken, key=int) == [str(number) for number in range(30)]
