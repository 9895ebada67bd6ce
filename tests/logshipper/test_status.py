"""The logshipper's part of `/status`: the words about sinks and files, the worst files, and held bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecars.logshipper import status
from sidecars.logshipper.delivery.shipper import Attempts
from sidecars.logshipper.model import steps
from sidecars.logshipper.sinks.base import RetryLater
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.scripted_sink import ScriptedSink, shipping, until
from tests.logshipper.support import append

QUIET = Attempts(0, None, None, None)


def parts(pod: Pod, *shippers: Any) -> status.Parts:
    return status.Parts(shippers, pod.queues, pod.ledgers, pod.follower, pod.store, lambda: pod.now)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ((0, 0, "", False), "idle"),
        ((5, 0, "", False), "pending"),
        ((5, 1, "", False), "sending"),
        ((5, 1, "503", False), "backing off"),
        ((5, 1, "400", True), "refuses every line"),
    ],
)
def test_the_state_of_a_sink_is_a_word(facts: tuple[int, int, str, bool], state: str) -> None:
    *others, refuses_all = facts
    assert status.state_of(*others, refuses_all=refuses_all) == state  # type: ignore[arg-type] # in their order


@pytest.mark.parametrize(
    ("trouble", "attempts", "counts", "sentence"),
    [  # counts: batches in flight, pending bytes, those of missing files
        ("", QUIET, (0, 0, 0), ""),
        ("", QUIET, (0, 9, 0), "9 B wait for the end of a line"),
        ("", QUIET, (0, 9000, 9000), "8.8 KiB wait for files that are not where they were"),
        ("", Attempts(0, None, 0.4, None), (1, 9, 0), ""),
        ("", Attempts(0, None, 12.3, None), (1, 9, 0), "no answer of the sink for 12 s"),
        ("HTTP 503", Attempts(1, 2.9, None, None), (1, 9, 0), "HTTP 503; failed once; retry in 3 s"),
        ("HTTP 503", Attempts(4, 0.0, None, None), (1, 9, 0), "HTTP 503; failed 4 times in a row; retry in 0 s"),
        ("down", Attempts(7, None, None, None), (1, 9, 0), "down; failed 7 times in a row; another attempt runs"),
    ],
)
def test_a_sink_tells_why_its_bytes_do_not_move(
    trouble: str, attempts: Attempts, counts: tuple[int, int, int], sentence: str
) -> None:
    assert status.why(trouble, attempts, *counts, waits=False) == sentence


def test_whole_lines_that_wait_for_their_batch_are_no_trouble() -> None:
    assert status.why("", QUIET, 0, 9, 0, waits=True) == ""


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"is_open": True}, "open"),
        ({"parked": True}, "closed"),
        ({"is_open": True, "renamed": True}, "rotated"),
        ({"parked": True, "renamed": True}, "rotated"),
        ({"is_open": True, "renamed": True, "deleted": True}, "deleted"),
        ({"dormant": True}, "missing"),
        ({}, "missing"),
    ],
)
def test_the_state_of_a_file_is_a_word(facts: dict[str, bool], word: str) -> None:
    names = ("dormant", "parked", "is_open", "renamed", "deleted")
    assert status.file_state(**{name: facts.get(name, False) for name in names}) == word


@pytest.mark.parametrize(
    ("pending", "facts", "words"),
    [
        (0, {"in_trouble"}, ""),
        (5, {"reachable", "in_flight"}, "the sink's answer"),
        (5, {"reachable", "complete", "in_trouble"}, "the sink"),
        (5, {"reachable", "complete"}, "its turn"),
        (5, {"reachable", "complete", "limited"}, "RATE_LIMIT"),
        (5, {"reachable", "complete", "limited", "in_trouble"}, "the sink"),
        (5, {"reachable"}, "the end of its last line"),
        (5, set(), "the file: it is not where it was"),
    ],
)
def test_the_pending_bytes_of_a_file_tell_what_they_wait_for(pending: int, facts: set[str], words: str) -> None:
    names = ("in_flight", "complete", "reachable", "in_trouble", "limited")
    assert status.waits_for(pending, **{name: name in facts for name in names}) == words


def many(pod: Pod, sizes: list[int]) -> None:
    """Make log files with one line of each of these sizes, each a second older than the next."""
    for number, size in enumerate(sizes):
        append(pod.logs / f"{number}.log", str(number) * (size - 1) + "\n")
        pod.look()


async def test_of_many_files_the_worst_by_pending_and_by_age_are_listed_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MOST_FILES", 4)
    monkeypatch.setattr(status, "_AT_ONCE", 3)
    pod = Pod(tmp_path)
    many(pod, [10, 20, 30, 40, 500, 60, 700])  # the first one is the oldest
    sink = ScriptedSink()
    hold = sink.held["0" * 9] = asyncio.Event()
    async with shipping(pod, sink) as shipper:
        found = (await status.Page(parts(pod, shipper)).members())["sinks"]["default"]
        hold.set()
    assert [Path(one["file"]).name for one in found["files"]] == ["6.log", "0.log", "4.log", "1.log"]
    assert [one["waited_seconds"] for one in found["files"]] == [0.0, 6.0, 2.0, 5.0]
    assert (found["files_followed"], found["files_left_out"]) == (7, 3)
    assert found["left_out"] == "3 more files are not listed, with 130 B pending"
    assert found["balanced"]


async def test_where_little_is_pending_the_files_that_grew_last_are_listed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MOST_FILES", 2)
    pod = Pod(tmp_path)
    many(pod, [10, 20, 30])
    pod.ship()
    append(pod.logs / "0.log", "unfinished")
    pod.look()
    append(pod.logs / "1.log", "line\n")
    pod.look()
    pod.ship()
    async with shipping(pod, ScriptedSink()) as shipper:
        page = await status.Page(parts(pod, shipper)).members()
    found = page["sinks"]["default"]
    assert [Path(one["file"]).name for one in found["files"]] == ["0.log", "1.log"]
    assert [one["waits_for"] for one in found["files"]] == ["the end of its last line", ""]
    assert (found["state"], found["why"]) == ("pending", "10 B wait for the end of a line")
    assert page["sums"] == ["default: read 75 B = delivered 65 B + dropped 0 + pending 10 B"]
    assert page["left_out"] == ["default: 1 more file is not listed, with 0 pending"]


async def test_a_failing_sink_tells_its_last_answer_and_the_next_attempt(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    sink = ScriptedSink(lambda _: RetryLater("HTTP 503: full", 3600.0))
    async with shipping(pod, sink) as shipper:
        await until(lambda: shipper.trouble)
        found = (await status.Page(parts(pod, shipper)).members())["sinks"]["default"]
    assert (found["state"], found["failures"], found["trouble"]) == ("backing off", 1, "HTTP 503: full")
    assert 0 < found["retry_in_seconds"] <= 3600
    assert found["why"].startswith("HTTP 503: full; failed once; retry in ")
    assert found["last_failure"]["reason"] == "HTTP 503: full"
    assert found["files"][0]["waits_for"] == "the sink's answer"
    after = (await status.Page(parts(pod, shipper)).members())["sinks"]["default"]
    assert (after["state"], after["why"], after["failures"]) == ("idle", "", 0)
    assert after["last_failure"]["reason"] == "HTTP 503: full", "it is kept when the sink works again"


async def test_deleted_and_rotated_files_that_are_still_open_are_counted_with_their_bytes(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*")
    append(pod.log, "x" * 9_999 + "\n")
    append(pod.logs / "gone.log", "y" * 9_999 + "\n")
    pod.look()
    pod.rotate()
    (pod.logs / "gone.log").unlink()
    append(pod.log, "new\n")
    pod.look()
    async with shipping(pod, ScriptedSink()) as shipper:
        page = await status.Page(parts(pod, shipper)).members()
    held = page["held"]
    assert (held["deleted_files"], held["rotated_files"]) == (1, 1)
    assert held["deleted_bytes"] >= 10_000 <= held["rotated_bytes"]
    files = {
        Path(one["file"]).name + ":" + one["state"]: one["held_bytes"] for one in page["sinks"]["default"]["files"]
    }
    assert files == {
        "gone.log:deleted": held["deleted_bytes"],
        "app.log:rotated": held["rotated_bytes"],
        "app.log:open": 0,
    }
    pod.ship()
    pod.look(ROTATE_WAIT)
    assert (await status.Page(parts(pod, shipper)).members())["held"]["deleted_bytes"] == 0


async def test_the_page_is_made_in_steps_between_which_files_come_go_and_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_AT_ONCE", 2)
    pod = Pod(tmp_path)
    many(pod, [10] * 7)
    async with shipping(pod, ScriptedSink()) as shipper:
        making = status.page_steps(parts(pod, shipper))
        for _ in range(3):
            next(making)
        (pod.logs / "0.log").unlink()
        append(pod.logs / "6.log", "more\n")
        append(pod.logs / "new.log", "new\n")
        pod.ship()
        pod.look(ROTATE_WAIT)
        pod.look(ROTATE_WAIT)
        found = steps.run(making)["sinks"]["default"]
    assert found["balanced"], found["sum"]
    assert "0.log" not in {Path(one["file"]).name for one in found["files"]}


async def test_other_work_goes_on_while_the_page_of_many_files_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_AT_ONCE", 2)
    pod = Pod(tmp_path)
    many(pod, [10] * 8)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with shipping(pod, ScriptedSink()) as shipper:
        counting = asyncio.create_task(count_turns())
        await status.Page(parts(pod, shipper)).members()
        counting.cancel()
    assert turns >= 4 * 8 // 2, "four passes over the files, two files in a turn"


async def test_a_page_of_many_files_is_used_again_for_twenty_times_the_work_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_AT_ONCE", 2)
    pod, now = Pod(tmp_path), 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001  # so that work takes time
        return now

    async with shipping(pod, ScriptedSink()) as shipper:
        page = status.Page(parts(pod, shipper)._replace(clock=clock))
        assert await page.members() is not await page.members(), "a page of few files is made each time"
        many(pod, [10] * 8)
        first, made = await page.members(), now
        again = 0
        while await page.members() is first:
            again += 1
        assert again > 1
        assert now - made < 1, "it is made again"


async def test_an_account_that_differs_from_its_position_is_told_in_words(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    (generation,) = pod.follower.tails
    pod.ledgers["default"].delivered(generation, 1, 0)
    async with shipping(pod, ScriptedSink()) as shipper:
        found = (await status.Page(parts(pod, shipper)).members())["sinks"]["default"]
    assert not found["balanced"]
    assert f"{generation}: 1 bytes pending by the ledger, 2 by the position" in found["sum"]
