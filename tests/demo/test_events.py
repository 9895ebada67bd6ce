"""The events of the demo: what a view gets, in which order, and what it looks like as JSON."""

from __future__ import annotations

import json

import pytest

from demo.events import Act, Became, Ended, Entered, Event, Journal, Moved, Present, Said, document
from demo.ledger import Entry, Ledger

HOSTILE = "<script>alert(1)</script>\r\n\r\ndata: forged\u202e\0"

DOCUMENTS: list[tuple[Event, dict[str, object]]] = [
    (Act(1.0, "hang", "the app hangs"), {"type": "act", "at": 1.0, "key": "hang", "title": "the app hangs"}),
    (Said(0.12345, "app", HOSTILE), {"type": "said", "at": 0.123, "who": "app", "what": HOSTILE}),
    (Present(2, "adapter", "/health: 200"), {"type": "present", "at": 2, "who": "adapter", "what": "/health: 200"}),
    (
        Became(3.0, "storage", "down", "503"),
        {"type": "became", "at": 3.0, "part": "storage", "state": "down", "note": "503"},
    ),
    (Moved(4.0, {"calls": 7}), {"type": "moved", "at": 4.0, "totals": {"calls": 7}}),
    (
        Entered(5.0, Entry("app", "exit code", 0, 0)),
        {"type": "entered", "at": 5.0, "who": "app", "what": "exit code", "seen": "0", "holds": True},
    ),
    (
        Entered(5.0, Entry("app", "exit code", 0, 1)),
        {"type": "entered", "at": 5.0, "who": "app", "what": "exit code", "seen": "1 (expected 0)", "holds": False},
    ),
    (Ended(6.0, holds=False), {"type": "ended", "at": 6.0, "holds": False}),
]


@pytest.mark.parametrize(("event", "expected"), DOCUMENTS, ids=lambda value: type(value).__name__)
def test_an_event_is_an_object_of_json(event: Event, expected: dict[str, object]) -> None:
    assert document(event) == expected
    assert json.loads(json.dumps(document(event))) == expected


def journal() -> tuple[Journal, list[Event], list[float]]:
    """Return a journal with a clock that shows the only item of the list, and the events that it tells."""
    times = [100.0]
    heard: list[Event] = []
    return Journal(lambda: times[0], [heard.append]), heard, times


def test_events_have_the_seconds_since_the_story_began() -> None:
    made, heard, times = journal()
    made.say("app", "begins")
    times[0] = 103.5
    made.act("hang", "the app hangs")
    assert heard == [Said(0.0, "app", "begins"), Act(3.5, "hang", "the app hangs")]


def test_every_listener_gets_every_event_in_its_order() -> None:
    made, heard, _ = journal()
    second: list[Event] = []
    made.listeners.append(second.append)
    ledger = Ledger(made.entered)
    ledger.expect("app", "exit code", 0, 0)
    made.ended(holds=ledger.holds)
    assert heard == second == [Entered(0.0, ledger.entries[0]), Ended(0.0, holds=True)]


def test_a_state_that_is_as_before_is_not_told_again() -> None:
    made, heard, _ = journal()
    for note in ("", "", "kill -9", "kill -9", ""):
        made.became("app", "running", note)
    assert [event.note for event in heard if isinstance(event, Became)] == ["", "kill -9", ""]


def test_a_line_of_the_present_that_is_as_before_is_not_told_again() -> None:
    made, heard, _ = journal()
    for what in ("1 line", "1 line", "2 lines"):
        made.present("logshipper", what)
    made.present("adapter", "2 lines")
    assert [(event.who, event.what) for event in heard if isinstance(event, Present)] == [
        ("logshipper", "1 line"),
        ("logshipper", "2 lines"),
        ("adapter", "2 lines"),
    ]


def test_of_the_totals_only_those_that_have_changed_are_told() -> None:
    made, heard, _ = journal()
    made.moved({"calls": 0, "probes": 0})
    made.moved({"calls": 3, "probes": 0})
    made.moved({"calls": 3, "probes": 0})
    made.moved({"calls": 3, "probes": 1})
    assert [event.totals for event in heard if isinstance(event, Moved)] == [{"calls": 3}, {"probes": 1}]
