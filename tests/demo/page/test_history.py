"""The story so far: one list for all clients, of which each has a place in it."""

from __future__ import annotations

import asyncio
import json

import pytest

from demo.events import Ended, Entered, Moved, Said
from demo.ledger import Entry
from demo.page import history as module
from demo.page.history import History

HOSTILE = "</script><script>\r\n\r\nid: forged\ndata: {}\n\n\u2028\u202e\0é"


def told(*texts: str) -> History:
    made = History("ab12")
    for at, text in enumerate(texts):
        made.take(Said(at, "app", text))
    return made


def test_an_event_is_one_id_and_one_line_of_data_whatever_its_text() -> None:
    (sent,) = told(HOSTILE).since(0)
    first, data, *rest = sent.decode("ascii").split("\n")
    assert (first, rest) == ("id: ab12.0", ["", ""])
    assert json.loads(data.removeprefix("data: "))["what"] == HOSTILE
    assert not set(sent) & {0, 13}


@pytest.mark.parametrize(
    ("last", "place"),
    [
        ("", 0),  # a client that is new
        ("ab12.0", 1),
        ("ab12.2", 3),  # it has all
        ("ab12.3", 0),  # never sent
        ("ab12.-1", 0),
        ("ab12.1.5", 0),
        ("ab12.٣", 0),  # a digit, but not one of ours
        ("ab12." + "9" * 5000, 0),
        ("cd34.1", 0),  # of another run of the demo
        ("ab12", 0),
        ("\0\r\n.1", 0),
    ],
)
def test_a_client_that_comes_back_has_the_place_after_its_last_event(last: str, place: int) -> None:
    assert told("one", "two", "three").place_after(last) == place


def test_a_client_gets_a_bounded_number_of_events_at_once() -> None:
    made = told(*map(str, range(module.BATCH + 3)))
    assert len(made.since(0)) == module.BATCH
    assert len(made.since(module.BATCH)) == 3
    assert made.since(module.BATCH + 3) == []


def test_a_story_without_an_end_costs_bounded_memory_and_still_has_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    made = told("one", "two")
    for total in range(10):
        made.take(Moved(2.0, {"calls": total}))
    made.take(Entered(3.0, Entry("app", "exit code", 0, 0)))
    made.take(Ended(4.0, holds=True))
    assert len(made) == 5
    assert made.ended


async def test_whoever_waits_at_the_end_of_the_list_wakes_with_the_next_event() -> None:
    made = told("one")
    await asyncio.wait_for(made.grown(0), 60)
    waiting = [asyncio.create_task(made.grown(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    made.take(Said(1.0, "app", "two"))
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
