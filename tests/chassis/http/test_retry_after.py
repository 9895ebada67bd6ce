"""Retry-After: a number of seconds or one of three forms of a date. No value of a peer raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.http.retry_after import retry_after

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
MOST = 3600.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7\t", 7.0),
        ("0000000000000000120", 120.0),
        ("3601", MOST),
        ("99999999999999999999", MOST),
        ("9" * 5_000, MOST),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("tue, 14 nov 2023 22:13:50 gmt", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 +0000", 30.0),
        ("14 Nov 2023 22:13:50 UTC", 30.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Tue Nov 14 22:13:50 2023", 30.0),
        ("Fri Nov  3 22:13:50 2023", 0.0),
        ("Tue, 14 Nov 2023 22:13:60 GMT", 39.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MOST),
        ("Saturday, 14-Nov-99 22:13:50 GMT", 0.0),  # 1999, and not 2099
    ],
)
def test_a_number_or_a_date_is_seconds(value: str, seconds: float) -> None:
    assert retry_after(value, NOON, MOST) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-5",
        "+5",
        "1.5",
        "1_0",
        "٣",
        "²",
        "5, 7",
        "Fri, 99999999999999999999 Dec 2026 10:00:00 GMT",
        "Fri, 11 Dec 99999999999999999999 10:00:00 GMT",
        "Fri, 11 Dec 0000 10:00:00 GMT",
        "Fri, 11 Dec 2026 99999999999999999999:00:00 GMT",
        "Fri, 11 Dec 2026 10:00:00 +99999999999999999999",
        "Tue, 31 Feb 2023 10:00:00 GMT",
        "Tue, 14 Nov 2023 25:00:00 GMT",
        "Tue, 14 Nov 2023 22:13:61 GMT",
        "Tue, 00 Nov 2023 22:13:50 GMT",
        "Tue Nov 0 22:13:50 2023",
        "Tue, 14 Nov 2023 22:13:50 GMT" + " " * 65_536 + "x",
    ],
)
def test_anything_else_is_nothing(value: str) -> None:
    assert retry_after(value, NOON, MOST) is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_raises_or_asks_for_more_than_the_most(value: str) -> None:
    seconds = retry_after(value, NOON, MOST)
    assert seconds is None or 0.0 <= seconds <= MOST


NUMBERS = st.integers(0, 10**25).map(str) | st.text("0123456789", max_size=4)


@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(["Jan", "Dec", "Foo"]),
    st.sampled_from(["GMT", "+0000", "X"]),
)
def test_no_date_raises(numbers: tuple[str, ...], month: str, zone: str) -> None:
    day, year, hour, minute, second = numbers
    time = f"{hour}:{minute}:{second}"
    for value in (
        f"Fri, {day} {month} {year} {time} {zone}",
        f"Friday, {day}-{month}-{year} {time} {zone}",
        f"Fri {month} {day} {time} {year}",
    ):
        seconds = retry_after(value, NOON, MOST)
        assert seconds is None or 0.0 <= seconds <= MOST
