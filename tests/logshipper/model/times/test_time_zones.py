"""The search for local times that come twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sidecars.logshipper.model.times import time_zones

_HOUR, _QUARTER = 3600, 900  # seconds
_INSTANTS = [  # the days in which these zones set their clocks, and those around them
    instant
    for month, day in ((3, 6), (3, 27), (4, 3), (10, 2), (10, 23), (10, 30))
    for first in [int(datetime(2026, month, day, tzinfo=UTC).timestamp())]
    for instant in range(first, first + 4 * 24 * _HOUR, _QUARTER)
]


def is_first_pass(zone: time_zones.TimeZone, offsets: set[int], instant: int) -> bool:
    """Return True if the local time of the instant comes again."""
    return any(
        zone.instant(instant + ahead) == instant and zone.later_instant(instant + ahead) > instant for ahead in offsets
    )


@pytest.mark.parametrize(
    ("name", "hours", "quarters"),
    [
        ("Europe/Berlin", (1, 2), 4),
        ("America/New_York", (-5, -4), 4),
        ("Australia/Lord_Howe", (10.5, 11), 2),
        ("Antarctica/Troll", (0, 2), 8),
        ("Asia/Kolkata", (5.5,), 0),
    ],
)
def test_only_the_hour_that_comes_twice_is_searched_for_ambiguous_times(
    name: str, hours: tuple[float, ...], quarters: int
) -> None:
    zone = time_zones.find(name)
    offsets = {int(each * _HOUR) for each in hours}
    ambiguous = [each for each in _INSTANTS if is_first_pass(zone, offsets, each)]
    assert len(ambiguous) == quarters
    searched = [each for each in _INSTANTS if zone.repeats_between(each, each)]
    assert set(ambiguous) <= set(searched)
    assert len(searched) <= quarters + 1, "a quarter of an hour more is the step of the search"


def test_a_span_that_touches_the_hour_is_searched() -> None:
    zone = time_zones.find("Europe/Berlin")
    begin = int(datetime(2026, 10, 25, 0, tzinfo=UTC).timestamp())
    day = 24 * _HOUR
    assert zone.repeats_between(begin - 30 * day, begin)
    assert zone.repeats_between(begin + _HOUR - 1, begin + 30 * day)
    assert zone.repeats_between(begin - 30 * day, begin + 30 * day)
    assert not zone.repeats_between(begin - 30 * day, begin - _HOUR)
    assert not zone.repeats_between(begin + _HOUR, begin + 30 * day)
    assert zone.repeats_between(begin + day, begin + 402 * day), "a long span is not searched day by day"
