"""The table of the latest warnings and errors."""

from __future__ import annotations

import io
import threading

from sidecars.chassis.runtime import logs, troubles
from sidecars.chassis.runtime.troubles import KEPT, LONGEST, MOST, Troubles


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_code_has_one_entry_with_its_latest_message_its_count_and_its_age() -> None:
    clock = Clock()
    table = Troubles(clock)
    table.note("warning", "the receiver is slow", {"code": "slow", "sink": "a"})
    clock.now += 10
    table.note("error", "the receiver is gone", {"code": "slow", "sink": "b", "error": "refused"})
    clock.now += 5

    assert table.recent() == [
        {
            "code": "slow",
            "level": "error",
            "message": "the receiver is gone (sink=b, error=refused)",
            "count": 2,
            "age_seconds": 5.0,
        }
    ]


def test_errors_come_before_warnings_and_the_latest_first() -> None:
    table = Troubles(Clock())
    for level, code in (("warning", "a"), ("error", "b"), ("warning", "c"), ("error", "d"), ("warning", "a")):
        table.note(level, "said", {"code": code})

    assert [one["code"] for one in table.recent()] == ["d", "b", "a", "c"]


def test_an_entry_is_forgotten_ten_minutes_after_its_last_line_with_its_count() -> None:
    clock = Clock()
    table = Troubles(clock)
    table.note("warning", "said", {"code": "a"})
    clock.now += KEPT
    assert [one["count"] for one in table.recent()] == [1]
    table.note("warning", "said", {"code": "a"})
    clock.now += KEPT + 1
    assert table.recent() == []
    table.note("warning", "said", {"code": "a"})
    assert [one["count"] for one in table.recent()] == [1]


def test_the_table_is_bounded_whatever_is_logged() -> None:
    clock = Clock()
    table = Troubles(clock)
    for number in range(MOST + 10):
        clock.now += 0.001
        table.note("warning", "m" * 10_000, {"code": f"code-{number}", "name": "n" * 10_000})

    found = table.recent()
    assert [one["code"] for one in found] == [f"code-{number}" for number in range(MOST + 9, 9, -1)]
    assert {len(str(one["message"])) for one in found} == {LONGEST}


def test_a_traceback_is_for_the_log_alone() -> None:
    table = Troubles(Clock())
    table.note("error", "a defect", {"code": "defect", "traceback": "Traceback …"})
    assert table.recent()[0]["message"] == "a defect"


def test_warnings_and_errors_of_the_log_are_noted_at_any_level_of_the_log_and_nothing_else() -> None:
    log = logs.get("test")
    logs.configure("error", "json", io.StringIO())
    log.info("calm")
    log.warning("odd", code="of-test-troubles-1", file="a")
    log.error("bad", code="of-test-troubles-2")
    log.defect("defect", ValueError("x"))

    found = {str(one["code"]): one["message"] for one in troubles.recent()}
    assert found["of-test-troubles-1"] == "odd (file=a)"
    assert found["of-test-troubles-2"] == "bad"
    assert found["defect"] == "defect"
    assert "calm" not in found.values()


def test_threads_may_note_at_the_same_time() -> None:
    table = Troubles()

    def note() -> None:
        for number in range(500):
            table.note("warning", "said", {"code": f"code-{number % (MOST + 1)}"})

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table.recent()) == MOST
