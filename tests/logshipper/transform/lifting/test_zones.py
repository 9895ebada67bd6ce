"""Times without a zone: zones, gaps and overlaps, read by a pipeline."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import START
from sidecars.logshipper.model.times.event_times import FileTimes
from sidecars.logshipper.model.times.written_times import rfc3339
from sidecars.logshipper.state import saved_values
from tests.logshipper import zones
from tests.logshipper.pipelines import make_pipeline

_FIRST, _SECOND = "2026-10-25T00:", "2026-10-25T01:"  # the hours in UTC in which it is 2 o'clock in Berlin
_BERLIN = {"FORMAT": "json", "TIME_KEY": "t", "TIME_ZONE": "Europe/Berlin"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def read(
    *texts: str,
    now: str = "2026-11-28T10:00:00",
    start: int = 0,
    before: bytes = b"",
    file: FileTimes | None = None,
    **values: str,
) -> list[str]:
    """Return the times of the texts, as minutes in UTC."""
    data = "".join(f'{{"t":"{text}"}}\n' for text in texts).encode()
    chunk = Chunk("f00d", "/logs/a", start, start, data, START, times=file or FileTimes(), before=before)
    times = make_pipeline(**{**_BERLIN, **values}).process(chunk, at(now)).times or []
    return [rfc3339(time)[:16] if time is not None else "-" for time in times]


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca"])
@pytest.mark.parametrize("live", [True, False])
def test_no_time_of_a_file_is_wrong_when_the_clock_is_set(name: str, live: bool) -> None:  # noqa: FBT001 - a parameter of the test
    zone = ZoneInfo(name)
    first = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    every = zones.instants(zone, first, first + 366 * 24 * zones.HOUR)
    near = [one for one, other in pairwise(every) if other - one < zones.HOUR]
    assert len(near) > 100
    assert zones.wrong_times(name, near, live=live) == []


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        ("Europe/Berlin", "2026-01-02 03:04:05", "2026-01-02T02:04"),
        ("Europe/Berlin", "2026-07-02T03:04:05.5", "2026-07-02T01:04"),
        ("Europe/Berlin", "2026-07-02T03:04:05Z", "2026-07-02T03:04"),
        ("Europe/Berlin", "2026-07-02T03:04:05-07:00", "2026-07-02T10:04"),
        ("Europe/Berlin", "2026-07-02T03:04:05+02:00[Europe/Paris]", "2026-07-02T01:04"),
        ("Europe/Berlin", "2026-07-02T03:04:05Z[Europe/Paris]", "2026-07-02T03:04"),
        ("Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29T01:30"),  # a gap: 03:30 of the offset before
        ("+05:30", "2026-07-02 03:04:05", "2026-07-01T21:34"),
        ("-0300", "2026-07-02 03:04:05", "2026-07-02T06:04"),
        ("UTC", "2026-07-02 03:04:05", "2026-07-02T03:04"),
        ("Asia/Kathmandu", "2026-07-02 05:45:00", "2026-07-02T00:00"),
        ("Europe/Berlin", "2026-07-02 03:04:05 CEST", "-"),
        ("Europe/Berlin", "2026-07-02T03:04:05+14:01", "-"),
        ("Europe/Berlin", "2026-07-02T03:04:05+02:60", "-"),
        ("Europe/Berlin", "2026-07-02T03:04:05[Europe/Paris]", "-"),
    ],
)
def test_a_zone_is_for_times_without_one(zone: str, text: str, expected: str) -> None:
    assert read(text, TIME_ZONE=zone) == [expected]


def test_a_pattern_without_a_zone_is_of_the_zone() -> None:
    assert read("02.07.2026 03:04:05,25", TIME_FORMAT="%d.%m.%Y %T,%f") == ["2026-07-02T01:04"]
    two = read("25.10.2026 02:50", "25.10.2026 02:10", TIME_FORMAT="%d.%m.%Y %H:%M")
    assert two == [f"{_FIRST}50", f"{_SECOND}10"]


def test_the_second_pass_begins_where_the_times_go_back() -> None:
    texts = [f"2026-10-25 02:{minute}:00" for minute in (10, 40, 39, 59, "00", 30, 29, 59)]
    minutes = ["10", "40", "39", "59", "00", "30", "29", "59"]
    expected = [_FIRST + minute for minute in minutes[:4]] + [_SECOND + minute for minute in minutes[4:]]
    assert read(*texts) == expected
    assert read("2026-10-25 03:10:00", "2026-10-25 02:59:59") == ["2026-10-25T02:10", f"{_SECOND}59"]


def test_times_that_go_back_a_little_are_no_second_pass() -> None:
    texts = ("2026-10-25 01:50:00", "2026-10-25 02:40:00", "2026-10-25 02:31:00")
    assert read(*texts)[1:] == [f"{_FIRST}40", f"{_FIRST}31"]


def test_nothing_is_written_in_the_future() -> None:
    texts = ("2026-10-25 01:50:00", "2026-10-25 02:40:00", "2026-10-25 02:00:00")
    assert read(*texts, now="2026-10-25T00:41:00")[1:] == [f"{_FIRST}40", f"{_FIRST}00"]
    assert read(*texts, now="2026-10-25T01:01:00")[1:] == [f"{_FIRST}40", f"{_SECOND}00"]


@pytest.mark.parametrize(("now", "expected"), [("00:31", _FIRST), ("01:31", _SECOND), ("23:00", _SECOND)])
def test_a_file_that_begins_in_the_hour_is_of_the_pass_that_is_nearer_to_its_reading(now: str, expected: str) -> None:
    assert read("2026-10-25 02:30:00", now=f"2026-10-25T{now}:00") == [f"{expected}30"]


def test_a_file_that_begins_in_the_hour_and_goes_back_later_begins_with_the_first_pass() -> None:
    texts = ("2026-10-25 02:30:00", "2026-10-25 02:05:00")
    assert read(*texts) == [f"{_FIRST}30", f"{_SECOND}05"]


def test_an_old_file_is_measured_by_its_modification_when_it_was_found() -> None:
    file = FileTimes(10**6, at("2026-10-25T00:40:00"))
    assert read("2026-10-25 02:30:00", file=file) == [f"{_FIRST}30"]


def test_the_pass_is_known_in_later_chunks_and_is_not_forgotten_at_a_restart() -> None:
    file = FileTimes()
    assert read("2026-10-25 02:50:00", "2026-10-25 02:10:00", file=file)[1] == f"{_SECOND}10"
    assert file.is_new
    restored = saved_values.file_times(json.loads(json.dumps(file.as_list())))
    for known in (file, restored):
        assert read("2026-10-25 02:20:00", start=100, file=known) == [f"{_SECOND}20"]
        again = read("2026-10-25 02:50:00", "2026-10-25 02:10:00", file=known)  # sent again, or for another sink
        assert again == [f"{_FIRST}50", f"{_SECOND}10"]
    assert read("2027-10-31 02:20:00", start=100, file=file) == ["2027-10-31T00:20"], "another year, another pass"


def test_the_event_before_a_chunk_is_in_the_bytes_before_it() -> None:
    before = b'torn"}\n{"t":"2026-10-25 02:50:00"}\n{"n":1}\n'
    assert read("2026-10-25 02:10:00", start=1000, before=before) == [f"{_SECOND}10"]
    assert read("2026-10-25 02:45:00", start=1000, before=before) == [f"{_FIRST}45"]


@given(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=12).map(sorted), st.data())
def test_times_are_the_same_in_whatever_chunks_a_file_is_read(seconds: list[int], data: st.DataObject) -> None:
    begin = int(datetime(2026, 10, 24, 23, 30, tzinfo=UTC).timestamp())
    berlin = ZoneInfo("Europe/Berlin")
    texts = [f"{datetime.fromtimestamp(begin + one, berlin):%Y-%m-%d %H:%M:%S}" for one in [0, *seconds]]
    whole = read(*texts)
    cut = data.draw(st.integers(1, len(texts)))
    file, first = FileTimes(), "".join(f'{{"t":"{text}"}}\n' for text in texts[:cut]).encode()
    parts = read(*texts[:cut], file=file)
    if cut < len(texts):
        parts += read(*texts[cut:], start=len(first), before=first, file=file)
    assert parts == whole
