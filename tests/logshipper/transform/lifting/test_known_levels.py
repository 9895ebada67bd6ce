"""Levels that are found without being asked for: only what cannot be another thing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.lifting import known_levels
from tests.logshipper.pipelines import records_of, shipped


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"level": "INFO"}, "INFO"),
        ({"level": "warning", "severity": "high"}, "warning"),
        ({"level": "high", "severity": "ERROR"}, "ERROR"),
        ({"log.level": "ERROR"}, "ERROR"),
        ({"log": {"level": "error"}}, "error"),
        ({"level": 400, "level_name": "ERROR"}, "ERROR"),
        ({"levelname": "CRITICAL"}, "CRITICAL"),
        ({"level": 50, "pid": 1, "hostname": "h"}, "50"),
        ({"level": 3, "version": "1.1", "short_message": "x"}, "3"),
        ({"s": "W", "c": "NETWORK", "ctx": "listener"}, "W"),
        ({"@t": "2026", "@m": "x", "@l": "Warning"}, "Warning"),
        ({"@t": "2026", "@mt": "x"}, "Information"),
        ({"level": 50}, None),
        ({"level": 35, "pid": 1, "hostname": "h"}, None),
        ({"level": 3}, None),
        ({"level": "7"}, None),
        ({"level": "high"}, None),
        ({"level": "all"}, None),
        ({"level": "e"}, None),
        ({"s": "W"}, None),
        ({"level": True, "pid": 1, "hostname": "h"}, None),
        ({"level": None}, None),
        ({"log": "error"}, None),
        ({"message": "ERROR"}, None),
        ({}, None),
    ],
)
def test_a_level_is_a_word_in_a_usual_field_or_a_number_with_its_context(
    fields: dict[str, Any], expected: str | None
) -> None:
    assert known_levels.in_fields(fields) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-28 10:15:30,123 ERROR [main] a.B - failed", "ERROR"),
        ("10:15:30.123 [main] WARN  a.B - slow", "WARN"),
        ("28-Nov-2026 10:15:30.123 INFO [main] org.apache Server", "INFO"),
        ("2026-11-28 10:15:30.123 CET [77] ERROR:  syntax error", "ERROR"),
        ("2026/11/28 10:15:30 [error] 123#0: *1 open()", "error"),
        ("2026-11-28T10:15:30.123+01:00 DEBUG x", "DEBUG"),
        ("[2026-11-28 10:15:30] [ERROR] x", "ERROR"),
        ("ERROR:root:failed", "ERROR"),
        ("ERROR: failed", "ERROR"),
        ("[WARNING] deprecated", "WARNING"),
        ("I, [2026-11-28T10:15:30.123456 #1]  INFO -- : ok", "INFO"),
        ("E1128 10:15:30.123456       1 server.go:12] hi", "E"),
        ("2026/11/28 10:15:30 listening", None),
        ("ERRORS occur", None),
        ("an ERROR: x", None),
        ("2026-11-28 10:15:30 the INFO desk", None),
        ("2026-11-28 10:15:30 INFORMATION desk", None),
        ("I1128 lunch", None),
        ("", None),
    ],
)
def test_the_level_of_a_line_is_at_its_place_in_a_well_known_form(line: str, expected: str | None) -> None:
    assert known_levels.in_line(line) == expected


_NAMES = [*known_levels.FIELDS, "s", "c", "ctx", "log", "pid", "hostname", "version", "short_message", "@t", "@m"]


@given(
    st.dictionaries(
        st.sampled_from(_NAMES), st.sampled_from([[], {}, {"level": []}, None, True, 1.5, 2**70, 30, "", "WARN", "W"])
    )
)
def test_the_app_may_write_anything_into_the_usual_fields(fields: dict[str, Any]) -> None:
    assert type(known_levels.in_fields(fields)) in (str, type(None))


def test_records_stay_as_they_are_unless_levels_are_asked_for() -> None:
    line = '{"log.level":"ERROR","n":1}\n'
    (record,) = shipped(line, FORMAT="json")
    assert record == {"id": record["id"], "log.level": "ERROR", "n": 1}
    assert records_of(line, FORMAT="json").finds_levels
    assert not records_of(line, FORMAT="json", LEVEL_KEY="none").finds_levels
    assert not records_of(line, FORMAT="json", LEVEL_KEY="lvl").finds_levels


def test_auto_takes_levels_out_of_usual_fields_and_reads_those_of_lines() -> None:
    (record,) = shipped('{"level":30,"log.level":"x","n":1}\n', FORMAT="json", LEVEL_KEY="auto")
    assert record == {"id": record["id"], "level": "30", "severity": "INFO", "log.level": "x", "n": 1}
    (record,) = shipped('{"level":"high","severity":"ERROR"}\n', FORMAT="json", LEVEL_KEY="auto")
    assert record == {"id": record["id"], "level": "ERROR", "severity": "ERROR", "level_": "high"}
    first, second = shipped("10:15:30 WARN x\nplain\n", LEVEL_KEY="auto")
    assert (first["level"], first["severity"], first["message"]) == ("WARN", "WARN", "10:15:30 WARN x")
    assert "level" not in second
