"""Rate limits: what waits is delivered later, what is dropped is counted, and is the same after kill -9."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.transform.reduction.sink_limits import SinkLimits
from tests.logshipper.pipelines import make_pipeline
from tests.logshipper.pod import Pod
from tests.logshipper.scripted_sink import ScriptedSink, position, shipping, until
from tests.logshipper.support import a_chunk, append
from tests.support import examples


def limited(pod: Pod) -> SinkLimits:
    """Return the limits of the sink, on the clock of the pod."""
    limits = SinkLimits(pod.pipelines, None, lambda: pod.now)
    pod.queues["default"].limit_by(limits)
    return limits


def ship_slowly(pod: Pod, limits: SinkLimits, steps: int = 2000) -> list[tuple[float, str]]:
    """Ship everything, as fast as the limits allow. Return each line with the time at which it passed."""
    passed: list[tuple[float, str]] = []
    for _ in range(steps):
        passed += [(pod.now, line) for line in pod.ship(batches=1)]
        if not pod.queues["default"].unsettled():
            return passed
        pause = limits.held_for()
        if pause is not None and not pod.queues["default"].waiting(1):
            pod.look(pause + 1e-6)
    raise AssertionError("it does not end")


# -- wait --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "k"])
def test_what_waits_is_delivered_in_order_and_never_faster_than_the_limit(tmp_path: Path, key: str) -> None:
    keyed = {"LOGSHIPPER_RATE_LIMIT_KEY": key} if key else {}
    pod = Pod(tmp_path, LOGSHIPPER_RATE_LIMIT="5/s", LOGSHIPPER_RATE_BURST="3", LOGSHIPPER_FORMAT="logfmt", **keyed)
    written = [f"k={number % 2} n={number}" for number in range(60)]
    append(pod.log, "".join(f"{line}\n" for line in written))
    pod.look()
    passed = ship_slowly(pod, limited(pod))
    assert [line for _, line in passed] == written
    for value in ("k=0", "k=1") if key else ("k",):
        times = [now for now, line in passed if line.startswith(value)]
        for first, begin in enumerate(times):
            for count, end in enumerate(times[first:], 1):
                assert count <= 5 * (end - begin) + 3 + 1e-6
    assert pod.dropped() == {}


def test_files_of_another_input_and_of_another_key_do_not_wait(tmp_path: Path) -> None:
    pod = Pod(
        tmp_path,
        LOGSHIPPER_PATHS="",
        LOGSHIPPER_APP_PATHS=f"{tmp_path}/logs/app*.log",
        LOGSHIPPER_APP_RATE_LIMIT="1/h",
        LOGSHIPPER_APP_RATE_LIMIT_KEY="file",
        LOGSHIPPER_FREE_PATHS=f"{tmp_path}/logs/free.log",
    )
    for name in ("app1", "app2", "free"):
        append(pod.logs / f"{name}.log", "".join(f"{name} {number}\n" for number in range(3)))
    pod.look()
    limits = limited(pod)
    assert sorted(pod.ship()) == ["app1 0", "app2 0", "free 0", "free 1", "free 2"]
    assert limits.held_inputs() == "lines wait for RATE_LIMIT of app"
    assert pod.queues["default"].waiting(1000) == 0
    assert pod.queues["default"].unsettled() > 0
    limits.lift()
    assert sorted(pod.ship()) == ["app1 1", "app1 2", "app2 1", "app2 2"]


def test_a_rotated_file_that_waits_holds_its_successor_and_not_the_other_way_round(tmp_path: Path) -> None:
    pod = Pod(
        tmp_path,
        LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*",
        LOGSHIPPER_FORMAT="logfmt",
        LOGSHIPPER_RATE_LIMIT="1/s",
        LOGSHIPPER_RATE_LIMIT_KEY="k",
    )
    append(pod.log, "k=a n=1\nk=a n=2\nk=a n=3\n")
    pod.look()
    pod.rotate()
    append(pod.log, "k=b n=4\n")
    pod.look()
    limits = limited(pod)
    assert pod.ship() == ["k=a n=1"]
    assert pod.queues["default"].waiting(1000) == 0
    assert [line for _, line in ship_slowly(pod, limits)] == ["k=a n=2", "k=a n=3", "k=b n=4"]


_ENTRIES = st.lists(
    st.sampled_from(["stdout P a", "stdout F b", "stderr P c", "stderr F d", "stderr F  e", "stdout F java.X"]),
    min_size=1,
    max_size=25,
)


@examples(40)
@given(_ENTRIES, st.integers(1, 3), st.sampled_from(["none", "indent"]))
def test_the_events_of_a_container_are_the_same_with_a_limit_and_without(
    tmp_path_factory: pytest.TempPathFactory, entries: list[str], burst: int, multiline: str
) -> None:
    text = "".join(f"2026-01-02T03:04:05Z {entry}\n" for entry in [*entries, "stdout F end", "stderr F end"])
    shapes = {"LOGSHIPPER_FORMAT": "cri", "LOGSHIPPER_MULTILINE": multiline}
    events = []
    for limit in ({}, {"LOGSHIPPER_RATE_LIMIT": "1/s", "LOGSHIPPER_RATE_BURST": str(burst)}):
        pod = Pod(tmp_path_factory.mktemp("pod"), **shapes, **limit)
        append(pod.log, text)
        pod.look()
        pod.look(10)
        found: list[str] = []
        limits = limited(pod)
        for _ in range(300):
            for chunk in pod.queues["default"].collect(100_000):
                in_flight = pod.send("default", [chunk])
                found += in_flight.content.records[0].bodies
                pod.settle(in_flight)
            if not pod.queues["default"].unsettled():
                break
            pod.look(limits.held_for() or 1)
        assert pod.queues["default"].unsettled() == 0
        events.append(sorted(found))
        pod.kill()
    assert events[0] == events[1]


async def test_a_sink_that_waits_for_its_limit_sleeps_and_the_end_of_the_pod_lifts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_RATE_LIMIT="1/h")
    append(pod.log, "1\n2\n3\n")
    pod.look()
    asked: list[int] = []
    waiting = pod.queues["default"].waiting

    def note(enough: int) -> int:
        asked.append(enough)
        return waiting(enough)

    monkeypatch.setattr(pod.queues["default"], "waiting", note)
    async with shipping(pod, sink := ScriptedSink()) as shipper:
        await until(lambda: position(pod) == 2)
        await until(lambda: shipper.held == "lines wait for RATE_LIMIT of default")
        del asked[:]
        for _ in range(500):
            await asyncio.sleep(0)
        assert len(asked) < 5
        shipper.drain()
        for _ in range(100):
            await asyncio.sleep(0)
        assert sink.attempts == [["1"]], "a drain without a deadline goes on at the same pace"
        shipper.begin_deadline()
    assert sink.attempts == [["1"], ["2", "3"]]
    assert shipper.held == ""
    pod.check()


# -- drop --------------------------------------------------------------------------------------------------------------

_DROP = {
    "LOGSHIPPER_RATE_LIMIT": "1/h",
    "LOGSHIPPER_RATE_BURST": "2",
    "LOGSHIPPER_RATE_EXCESS": "drop",
    "LOGSHIPPER_FORMAT": "json",
    "LOGSHIPPER_RATE_LIMIT_KEY": "user",
}


@contextlib.asynccontextmanager
async def killed(pod: Pod, sink: ScriptedSink) -> AsyncIterator[Shipper]:
    """Run a shipper that is killed at the end of the context."""
    (found,) = load(Settings, pod.environ | {"LOGSHIPPER_BATCH_TIMEOUT": "0"}).sinks.values()
    clock = asyncio.get_running_loop().time
    shipper = Shipper(found, pod.pipelines, sink, pod.queues["default"], Health(), clock)
    running = asyncio.create_task(shipper.run())
    yield shipper
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    pod.kill()


async def test_what_was_dropped_is_dropped_again_after_kill_9_and_nothing_else(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_DROP, LOGSHIPPER_SINK_DROP="7")
    lines = [f'{{"user":"{"ab"[number % 2]}","n":{number}}}' for number in range(8)]
    append(pod.log, '{"user":"b"}\n')
    pod.look()
    await pod.store.save()
    first, second = ScriptedSink(), ScriptedSink()
    first.held[lines[0]] = asyncio.Event()
    async with killed(pod, first) as shipper:
        await until(lambda: position(pod) == 13)
        append(pod.log, "".join(f"{line}\n" for line in lines))
        pod.look()
        shipper.wake()
        await until(lambda: len(first.attempts) == 2)
    pod.begin()
    append(pod.log, '{"user":"a","n":8}\n{"user":"c","n":9}\n')
    pod.look()
    async with shipping(pod, second):
        await until(lambda: position(pod) > 150)
    assert first.attempts[1] == lines[:3], "b has one token less"
    assert second.attempts == [lines[:3], ['{"user":"c","n":9}']], "the repeated events took the tokens of a"
    assert second.ids[0] == first.ids[1]
    total = pod.ledgers["default"].total
    assert total.dropped_lines == {"rate_limited": 5, "filtered": 1}
    assert total.read == total.delivered + total.dropped.total()
    pod.check()


async def test_a_batch_of_which_nothing_was_dropped_is_repeated_as_a_whole(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_DROP)
    append(pod.log, '{"user":"a"}\n{"user":"a"}\n')
    pod.look()
    first, second = ScriptedSink(), ScriptedSink()
    first.held['{"user":"a"}'] = asyncio.Event()
    for _ in range(3):  # each process begins with full buckets, which the repeated events empty
        async with killed(pod, first):
            await until(lambda: first.attempts)
        pod.begin()
        pod.look()
    async with shipping(pod, second):
        pass
    assert second.attempts == [['{"user":"a"}'] * 2]


async def test_retries_and_halves_decide_nothing_again(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_DROP)
    append(pod.log, "".join(f'{{"user":"a","n":{number}}}\n' for number in range(5)))
    pod.look()
    sink = ScriptedSink(lambda _: RetryLater("later"), lambda _: BatchRefused("no"), lambda _: Outcome())
    async with shipping(pod, sink):
        pass
    assert sink.attempts[1:] == [
        ['{"user":"a","n":0}', '{"user":"a","n":1}'],
        ['{"user":"a","n":0}'],
        ['{"user":"a","n":1}'],
    ]
    assert pod.ledgers["default"].total.dropped_lines == {"rate_limited": 3}
    pod.check()


async def test_events_that_the_sink_does_not_get_take_no_token(tmp_path: Path) -> None:
    for excess in ("drop", "wait"):
        (tmp_path / excess).mkdir()
        pod = Pod(
            tmp_path / excess, LOGSHIPPER_RATE_LIMIT="2/h", LOGSHIPPER_RATE_EXCESS=excess, LOGSHIPPER_SINK_DROP="x"
        )
        append(pod.log, "x1\nx2\nx3\n1\n2\nx4\n")
        pod.look()
        async with shipping(pod, sink := ScriptedSink()):
            pass
        assert [line for lines in sink.attempts for line in lines] == ["1", "2"]
        assert pod.ledgers["default"].total.dropped_lines == {"filtered": 4}


def test_the_key_is_a_label_or_the_file_before_a_field_of_the_app() -> None:
    """The app cannot take the tokens of another one by a field with its name."""
    data = b'{"pod":"x","user":"a"}\n{"pod":"y","user":5}\n{"user":"5"}\n{"user":null}\nno json\n'

    def keys(names: str, **more: str) -> list[str]:
        pipeline = make_pipeline(FORMAT="json", RATE_LIMIT="1/s", RATE_LIMIT_KEY=names, **more)
        return pipeline.keyed_events(a_chunk(data))[2]

    assert len(set(keys("pod"))) == len(set(keys("file"))) == len(set(keys("user,team", LABELS="team=x"))) == 1
    a, five, text, nothing, other = keys("user")
    assert (five, nothing) == (text, other)
    assert len({a, five, nothing}) == 3
    assert all(len(key) == 12 for key in keys("user"))
