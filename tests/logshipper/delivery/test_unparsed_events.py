"""Events in which something was not found: counted once for all sinks, and told once if nothing is ever found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sidecars.logshipper.delivery import unparsed_events
from sidecars.logshipper.delivery.unparsed_events import UnparsedEvents
from tests.logshipper.pipelines import records_of

_KEYS = {"FORMAT": "json", "TIME_KEY": "t"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    log = SimpleNamespace(warning=lambda _text, **more: found.append(more))
    monkeypatch.setattr(unparsed_events, "log", log)
    return found


def test_an_event_counts_once_however_many_sinks_there_are(told: list[dict[str, Any]]) -> None:
    unparsed, records = UnparsedEvents(), records_of('{"t":"x"}\nno json\n', **_KEYS)
    for sink in ("a", "b", "a"):
        unparsed.count(sink, [records])
    assert unparsed.counts() == {("default", "format"): 2, ("default", "time"): 4}
    assert unparsed.sentences() == [
        "input default: no format was found in 2 events",
        "input default: no time was found in 4 events",
    ]
    assert not told


def test_a_thousand_events_of_which_none_has_it_are_told_once(told: list[dict[str, Any]]) -> None:
    unparsed, records = UnparsedEvents(), records_of('{"t":"x"}\n' * 600, **_KEYS)
    for sink in ("a", "a", "b", "b", "a"):
        unparsed.count(sink, [records])
    assert [(one["code"], one["part"], one["events"]) for one in told] == [("nothing-parsed", "time", 1200)]


def test_one_event_that_has_it_is_enough(told: list[dict[str, Any]]) -> None:
    unparsed = UnparsedEvents()
    unparsed.count("a", [records_of('{"t":1795860930}\n', **_KEYS)])
    unparsed.count("a", [records_of('{"t":"x"}\n' * 2000, **_KEYS)])
    assert not told
