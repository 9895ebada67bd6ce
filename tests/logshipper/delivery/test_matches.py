"""Counters from lines count a batch once: when its sink has decided on it."""

from __future__ import annotations

from pathlib import Path

from sidecars.logshipper.model.records import Match
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, position, shipping, until
from tests.logshipper.support import append

ERRORS = ("default", Match("errors"))


async def test_attempts_halves_and_rejected_events_count_once(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_COUNT="errors=/E/", LOGSHIPPER_SINK_DROP="E3")
    append(pod.log, "E1\nx\nE2\nE3\n")
    pod.look()
    seen: list[int] = []

    def refuse(_batch: object) -> BatchRefused:
        seen.append(shipper.matches.counts().get(ERRORS, 0))
        return BatchRefused("no")

    sink = ScriptedSink(
        lambda _: RetryLater("not now"), refuse, lambda _: Outcome(), lambda _: Outcome(rejected=[(0, "bad")])
    )
    async with shipping(pod, sink) as shipper:
        await until(lambda: position(pod))
        assert shipper.matches.counts() == {ERRORS: 3}
    assert seen == [0]
    assert sink.attempts[2:] == [["E1"], ["x"], ["E2"]]
    pod.check()


async def test_a_batch_that_was_in_flight_at_kill_9_is_counted_by_the_next_process_alone(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_COUNT="errors=/E/")
    append(pod.log, "E1\n")
    pod.look()
    pod.send("default", pod.queues["default"].collect(100))
    pod.kill()
    pod.begin()
    append(pod.log, "E2\n")
    pod.look()
    async with shipping(pod, ScriptedSink()) as shipper:
        await until(lambda: position(pod) == 6)
    assert shipper.matches.counts() == {ERRORS: 2}
    await pod.restart()
    async with shipping(pod, ScriptedSink()) as shipper:
        pass
    assert shipper.matches.counts() == {}
