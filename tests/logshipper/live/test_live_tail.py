"""The viewers of the live tail, and what they are offered."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from sidecars.logshipper.live import live_tail, tail_query
from sidecars.logshipper.live.live_tail import LONGEST, MOST_FILES, LiveTail
from sidecars.logshipper.live.viewer import RATE, Viewer
from sidecars.logshipper.live.work_share import Clocks
from tests.logshipper.pipelines import make_pipeline
from tests.logshipper.support import a_chunk
from tests.support import PATIENCE

SINKS = {"default": ("one",), "shared": ("one", "two")}


class Tail:
    """A live tail whose clocks stand still."""

    def __init__(self, worked: float = 0.0) -> None:
        self.now, self.worked, self._each = 0.0, 0.0, worked
        self.tail = LiveTail(SINKS, print, Clocks(lambda: self.now, lambda: self.now, self._work))

    def _work(self) -> float:
        self.worked += self._each
        return self.worked

    def join(self, query: str = "") -> Viewer:
        return self.tail.join(tail_query.parse(query, self.tail.inputs))

    def show(
        self, text: str, start: int = 0, input_name: str = "default", generation: str = "g", **values: str
    ) -> None:
        chunk = replace(a_chunk(text.encode(), start, generation), input=input_name)
        self.tail.show(list(make_pipeline(**values).records(chunk, 0)))


def taken(viewer: Viewer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in viewer.take().splitlines()]


def messages(viewer: Viewer) -> list[Any]:
    return [one.get("message", one) for one in taken(viewer)]


@pytest.fixture
def tail() -> Tail:
    return Tail()


def test_a_viewer_gets_the_records_of_a_sink_after_redaction_and_edits(tail: Tail) -> None:
    viewer = tail.join()
    text = '{"msg":"paid by bob@example.com","secret":"x","n":1}\nno json bob@example.com\n'
    tail.show(text, FORMAT="json", REDACT="email", REMOVE="secret", MESSAGE_KEY="msg")
    first, second = taken(viewer)
    assert first == {
        "id": "g-0", "file": "/logs/a%d.log", "pod": "shop-1", "n": 1, "message": "paid by [email]",
    }  # fmt: skip
    assert "[email]" in second["message"]


def test_match_finds_nothing_that_redaction_or_edits_have_removed(tail: Tail) -> None:
    text = '{"a":"bob@example.com","secret":"hunter2"}\n'
    for pattern in ("bob", "hunter", "secret"):
        viewer = tail.join(f"match={pattern}")
        tail.show(text, FORMAT="json", REDACT="email", REMOVE="secret")
        assert taken(viewer) == []
        tail.tail.leave(viewer)


def test_a_viewer_gets_the_lines_of_the_input_that_it_asks_for(tail: Tail) -> None:
    one, every = tail.join("input=shared"), tail.join()
    tail.show("a\n")
    tail.show("b\n", input_name="shared")
    assert messages(one) == ["b"]
    assert messages(every) == ["a", "b"]


def test_lines_of_an_input_with_several_sinks_are_shown_once_by_whichever_sink_reads_them_first(tail: Tail) -> None:
    viewer = tail.join()
    tail.show("1\n2\n", 0, "shared")  # by one sink
    tail.show("1\n", 0, "shared")  # by the other
    tail.show("2\n3\n", 2, "shared")
    tail.show("4\n", 6, "shared")
    tail.show("3\n4\n", 4, "shared")
    tail.show("x\n", 0, "shared", generation="other")
    assert messages(viewer) == ["1", "2", "3", "4", "x"]


def test_the_ends_of_so_many_files_are_remembered_and_of_none_when_nobody_looks(tail: Tail) -> None:
    viewer = tail.join()
    for number in range(MOST_FILES + 10):
        tail.show("x\n", 0, "shared", generation=str(number))
    assert len(tail.tail._shown) == MOST_FILES
    tail.tail.leave(viewer)
    assert not tail.tail._shown


def test_a_batch_that_is_more_than_a_viewer_may_get_is_skipped_from_there_on(tail: Tail) -> None:
    viewer = tail.join()
    tail.show("x\n" * 10_000)
    assert messages(viewer)[RATE:] == [{"skipped": 10_000 - RATE}]


def test_what_is_beyond_the_share_of_a_core_is_skipped_for_all() -> None:
    tail = Tail(worked=0.02)  # twice what may be done at once, for each slice
    viewers = [tail.join() for _ in range(4)]
    tail.show("x\n" * 150)
    for viewer in viewers:
        shown = messages(viewer)
        assert shown[-1] == {"skipped": 150 - len(shown) + 1}
        assert 0 < len(shown) - 1 < 150
    tail.show("y\n")
    assert [messages(viewer) for viewer in viewers] == [[{"skipped": 1}]] * 4
    tail.now += 60.0
    tail.show("z\n")
    assert [messages(viewer) for viewer in viewers] == [["z"]] * 4


def test_a_long_event_is_skipped_and_those_around_it_are_shown(tail: Tail) -> None:
    viewer = tail.join()
    tail.show("a\n" + "x" * (LONGEST + 1) + "\nb\n")
    assert messages(viewer) == ["a", {"skipped": 1}, "b"]


def test_a_full_queue_of_one_viewer_takes_nothing_from_the_others(tail: Tail) -> None:
    stuck, other = tail.join(), tail.join()
    for _ in range(100):
        tail.now += 1.0
        tail.show(f"{'x' * 3000}\n")
        assert len(messages(other)) == 1
    assert stuck.skipped > 0


def test_a_place_is_free_when_a_viewer_has_left(tail: Tail) -> None:
    viewers = [tail.join() for _ in range(live_tail.MOST_VIEWERS)]
    assert tail.tail.is_full
    tail.tail.leave(viewers[0])
    tail.tail.leave(viewers[0])
    assert not tail.tail.is_full


def test_while_nobody_looks_nothing_is_handed_to_the_loop_and_then_all_of_it_from_any_thread() -> None:
    async def run() -> list[Any]:
        tail = LiveTail(SINKS, asyncio.get_running_loop().call_soon_threadsafe)
        records = [*make_pipeline().records(a_chunk(b"x\n"), 0)]
        tail.observe(records)
        viewer = tail.join(tail_query.parse("", tail.inputs))
        thread = threading.Thread(target=tail.observe, args=(records,))
        thread.start()
        async with asyncio.timeout(PATIENCE):
            await viewer.has_news.wait()
        thread.join()
        tail.close()
        assert viewer.is_over
        return messages(viewer)

    assert asyncio.run(run()) == ["x"]
