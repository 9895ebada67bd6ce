"""Times in the formats of apps, parsed to the nanosecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.times import timestamps, written_times

_TIMES = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - the zone is drawn apart
_ZONES = st.integers(-14 * 60, 14 * 60)  # minutes


def nanoseconds(moment: datetime, more: int = 0) -> int:
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return whole * 1000 + more


@given(_TIMES, _ZONES, st.sampled_from("Tt "), st.sampled_from(".,"), st.integers(0, 999))
def test_rfc_3339_is_read_to_the_nanosecond_in_any_zone(
    moment: datetime, zone: int, between: str, point: str, more: int
) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=zone)))
    sign, minutes = "-" if zone < 0 else "+", abs(zone)
    day, clock = moment.strftime("%Y-%m-%d").zfill(10), moment.strftime("%H:%M:%S")
    text = f"{day}{between}{clock}{point}{moment.microsecond:06}{more:03}"
    parse = timestamps.parser("rfc3339")
    assert parse(f"{text}{sign}{minutes // 60:02}:{minutes % 60:02}") == nanoseconds(there, more)
    utc = nanoseconds(moment.replace(tzinfo=UTC), more)
    assert parse(text) == parse(f"{text}Z") == parse(f"{text} UTC") == utc


@given(st.integers(nanoseconds(datetime(1, 1, 1, tzinfo=UTC)), nanoseconds(datetime(9999, 12, 31, tzinfo=UTC))))
def test_what_is_written_as_rfc_3339_is_read_as_the_same_time(time: int) -> None:
    assert timestamps.parser("rfc3339")(written_times.rfc3339(time)) == time


@given(_TIMES, _ZONES)
def test_a_pattern_reads_what_strftime_wrote(moment: datetime, zone: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=zone)))
    for form in (
        "%d/%b/%Y:%H:%M:%S.%f %z",
        "%Y-%m-%dT%H:%M:%S,%f%z",
        "%Y %j %T.%f %z",
        "%A, %B %d %Y %I:%M:%S.%f %p %z",
    ):
        text = there.strftime(form).replace(moment.strftime("%Y"), moment.strftime("%Y").zfill(4))
        assert timestamps.parser(form)(text) == nanoseconds(there), (form, text)
    seconds = there.replace(microsecond=0)
    assert timestamps.parser("%d %b %Y %H:%M:%S %z")(seconds.strftime("%d %b %Y %H:%M:%S %z")) == nanoseconds(seconds)


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("unix", 1, 10**9),
        ("unix", "1.25", 1_250_000_000),
        ("unix", 1767323045.5, 1767323045_500_000_000),
        ("unix", "-1.5", -1_500_000_000),
        ("unix_ms", 1767323045123, 1767323045123 * 10**6),
        ("unix_us", "1767323045123456", 1767323045123456 * 1000),
        ("unix_ns", "1767323045123456789", 1767323045123456789),
        ("%s.%f", "12.5", 12_500_000_000),
        ("%T.%f %d.%m.%Y", "10:04:05.250 05.01.2026", nanoseconds(datetime(2026, 1, 5, 10, 4, 5, 250_000, tzinfo=UTC))),
        ("%b %e %Y %H:%M:%S", "Jan  5 2026 10:04:05", nanoseconds(datetime(2026, 1, 5, 10, 4, 5, tzinfo=UTC))),
        ("rfc3339", "2016-12-31T23:59:60Z", nanoseconds(datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC))),
    ],
)
def test_other_ways_to_write_a_time(form: str, value: object, expected: int) -> None:
    assert timestamps.parser(form)(value) == expected


@pytest.mark.parametrize("form", ["rfc3339", "unix", "unix_ns", "%Y-%m-%d %H:%M:%S,%f", "%d/%b/%Y:%T %z", "%s"])
@given(value=st.none() | st.booleans() | st.floats(allow_nan=True) | st.text() | st.lists(st.integers(), max_size=1))
def test_what_is_no_time_has_none(form: str, value: object) -> None:
    time = timestamps.parser(form)(value)
    assert time is None or isinstance(time, int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00 CET",
        "\u0662026-01-01T00:00:00Z",
    ],
)
def test_a_day_or_a_zone_that_is_none_has_no_time(text: str) -> None:
    assert timestamps.parser("rfc3339")(text) is None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%Q", "%Q is not known"),
        ("%H:%M:%S", "with the day"),
        ("%Y-%m-%d %Y", "expected %Y once"),
        ("iso", "expected one of auto, rfc3339, unix"),
        ("%", "% is not known"),
    ],
)
def test_a_bad_pattern_is_refused_with_what_is_wrong(form: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        timestamps.parser(form)


@given(
    st.lists(
        st.sampled_from(
            ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2262-04-11T23:47:16Z", "9999-12-31T00:00:00Z", "x"]
        )
        | st.none()
    )
)
def test_times_are_such_that_every_sink_can_say_them(values: list[str | None]) -> None:
    times = timestamps.column_parser("rfc3339")(values)
    assert times == [2**63 - 854_775_808 if value == "2262-04-11T23:47:16Z" else None for value in values]
    assert timestamps.column_parser("unix")([1767323045123456789, -1, True, 5]) == [None, None, None, 5 * 10**9]
