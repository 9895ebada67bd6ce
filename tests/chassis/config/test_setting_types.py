"""Setting types: accepted values, refused values, and how values are shown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import (
    Address,
    Secret,
    SettingType,
    address,
    boolean,
    choice,
    comma_separated,
    duration,
    format_duration,
    integer,
    pairs,
    path_to_read,
    secret,
    size,
    text,
)
from sidecars.chassis.runtime import json_text

DURATIONS = st.builds(
    lambda number, decimals, unit: f"{number}{decimals}{unit}",
    st.integers(0, 10**6),
    st.sampled_from(["", ".5", ".25", ".001", ".1", ".333"]),
    st.sampled_from(["ms", "s", "m", "h"]),
)
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


def expected(setting_type: SettingType[Any], raw: str) -> str:
    """Return the expectation in the error of a refused value."""
    with pytest.raises(ValueError, match="expected") as caught:
        setting_type.parse(raw)
    return str(caught.value)


# -- plain values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "value"), [("true", True), ("false", False)])
def test_a_boolean_is_true_or_false(raw: str, value: object) -> None:
    assert boolean.parse(raw) is value
    assert boolean.show(boolean.parse(raw)) == raw


@pytest.mark.parametrize("raw", ["True", "TRUE", "yes", "1", "on", " true", ""])
def test_nothing_else_is_a_boolean(raw: str) -> None:
    assert expected(boolean, raw) == "expected true or false"


@given(st.integers(0, 10**17))
def test_a_number_shows_as_it_is_written(number: int) -> None:
    assert integer().parse(str(number)) == number
    assert integer().show(number) == str(number)


@pytest.mark.parametrize("raw", ["-1", "11", "1.0", "1e3", "0x1", "1_0", " 1", "", "\u0663", "9" * 5000])
def test_a_number_out_of_bounds_or_of_another_form_is_refused(raw: str) -> None:
    assert expected(integer(0, 10), raw) == "expected a whole number of at least 0, at most 10"


def test_a_choice_names_its_words() -> None:
    assert choice("auto", "json").parse("json") == "json"
    assert expected(choice("auto", "json"), "JSON") == "expected one of auto, json"


@given(st.text())
def test_text_and_paths_are_taken_as_they_are(raw: str) -> None:
    assert text.parse(raw) == raw
    assert path_to_read.parse(raw) == Path(raw)
    assert path_to_read.parse(path_to_read.show(path_to_read.parse(raw))) == path_to_read.parse(raw)


# -- quantities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "seconds"), [("250ms", 0.25), ("5s", 5), ("2m", 120), ("1h", 3600), ("1.5s", 1.5), ("0", 0), ("0s", 0)]
)
def test_a_duration_is_in_seconds(raw: str, seconds: float) -> None:
    assert duration().parse(raw) == seconds


@pytest.mark.parametrize(
    "raw", ["5", "5 s", "s", "5S", "-1s", "1e3s", ".5s", "5.s", "1h30m", "", "\u0665s", "9" * 400 + "s"]
)
def test_a_duration_without_its_unit_is_refused(raw: str) -> None:
    assert "with its unit" in expected(duration(), raw)


def test_a_duration_out_of_bounds_is_told_them() -> None:
    assert expected(duration("1ms", "1h"), "0") == "expected a duration of at least 1ms, at most 1h"
    assert expected(duration("1ms", "1h"), "2h") == "expected a duration of at least 1ms, at most 1h"
    assert expected(duration("1s"), "999ms") == "expected a duration of at least 1s"


@given(DURATIONS)
def test_a_duration_that_is_shown_reads_back_as_the_same(raw: str) -> None:
    seconds = duration().parse(raw)

    assert duration().parse(duration().show(seconds)) == seconds


@pytest.mark.parametrize("raw", ["0", "800ms", "1s", "1.5s", "90s", "2m", "25h", "0.5ms"])
def test_a_duration_is_shown_as_a_person_would_write_it(raw: str) -> None:
    shown = format_duration(duration().parse(raw))

    assert shown == raw
    assert math.isclose(duration().parse(shown), duration().parse(raw))


@pytest.mark.parametrize(
    ("raw", "count"),
    [("0", 0), ("7", 7), ("7B", 7), ("64KiB", 65536), ("10MB", 10**7), ("1kB", 1000), ("1GiB", 2**30), ("2TiB", 2**41)],
)
def test_a_size_is_in_bytes(raw: str, count: int) -> None:
    assert size().parse(raw) == count


@pytest.mark.parametrize("raw", ["-1", "1.5MB", "1 MB", "1mb", "1Mi", "MB", "", "\u0661", "9" * 5000])
def test_a_size_of_another_form_is_refused(raw: str) -> None:
    assert "expected a size in bytes" in expected(size(), raw)


@given(st.integers(0, 2**62), st.sampled_from([1, 2**10, 2**20, 2**30, 2**40]))
def test_a_size_that_is_shown_reads_back_as_the_same(count: int, unit: int) -> None:
    assume(count * unit < 10**18)
    assert size().parse(size().show(count * unit)) == count * unit


def test_a_size_out_of_bounds_is_told_them() -> None:
    assert expected(size("1", "1GiB"), "0") == "expected a size of at least 1, at most 1GiB"


# -- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        (":8081", Address("", 8081)),
        (":0", Address("", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:80", Address("::1", 80)),
        ("[::]:80", Address("::", 80)),
        ("unix:/run/x.sock", Address(path="/run/x.sock")),
        ("off", Address()),
    ],
)
def test_an_address_is_a_host_and_port_a_unix_socket_or_off(raw: str, value: Address) -> None:
    assert address.parse(raw) == value
    assert address.show(value) == raw
    assert bool(value) == (raw != "off")


@pytest.mark.parametrize(
    "raw",
    [
        *("80", "host", "host:", ":65536", "::1:80", "[::1]", "[x]:80", "a b:80", "unix:x", "http://x:80", "x:80/", ""),
        *("256.1.1.1:80", "1.2.3.4.5:80", "1..2.3:80", "8080:80"),
    ],
)
def test_anything_else_is_no_address(raw: str) -> None:
    told = "expected host:port, :port (all interfaces), unix:/path or off, with a port of at most 65535"
    assert expected(address, raw) == told


def test_pairs_are_told_by_what_their_sides_are() -> None:
    assert expected(pairs(), "a") == "expected name=text between commas"
    assert expected(pairs(text, integer(0, 9)), "a") == "expected name=number between commas"


@pytest.mark.parametrize("raw", ["unix:/", "unix:/run/", f"unix:/{'x' * 107}", f"unix:/{'ü' * 54}"])
def test_a_path_that_no_socket_can_have_is_no_address(raw: str) -> None:
    assert expected(address, raw) == "expected unix:/path of a socket, with at most 107 bytes"
    assert address.parse(f"unix:/{'x' * 106}").path


@given(
    st.one_of(
        st.builds(Address, WORDS.filter(lambda word: not word.isdigit()), st.integers(0, 65535)),
        st.builds(Address, st.just("::1"), st.integers(0, 9)),
    )
)
def test_an_address_that_is_shown_reads_back_as_the_same(value: Address) -> None:
    assert address.parse(address.show(value)) == value


# -- several of a kind --------------------------------------------------------------------------------------------


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_values_between_commas_read_back_as_the_same(words: list[str]) -> None:
    setting_type = comma_separated(text)

    assert setting_type.parse(setting_type.show(tuple(words))) == tuple(words)
    assert setting_type.parse(" , ".join(words)) == tuple(words)


@pytest.mark.parametrize("raw", ["a,,b", ",a", "a,", ",", " "])
def test_an_empty_value_between_commas_is_refused(raw: str) -> None:
    assert expected(comma_separated(text), raw) == "expected values separated by single commas"


def test_each_value_between_commas_is_of_the_kind() -> None:
    assert comma_separated(duration()).parse("1s, 2m") == (1, 120)
    assert "with its unit" in expected(comma_separated(duration()), "1s,2")


@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=5))
def test_pairs_read_back_as_the_same(value: dict[str, str]) -> None:
    assert pairs().parse(pairs().show(value)) == value


def test_only_the_first_equals_sign_separates_a_pair() -> None:
    assert pairs().parse("a=b=c") == {"a": "b=c"}


@pytest.mark.parametrize("raw", ["a", "=b", "a=", "a=b,c", "a=1,a=2"])
def test_what_is_no_pair_is_refused(raw: str) -> None:
    assert "expected" in expected(pairs(), raw)


# -- secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_is_never_shown() -> None:
    value = secret.parse("hunter2")

    assert value.reveal() == "hunter2"
    texts = (secret.show(value), repr(value), str(value), f"{value}", f"{value:>9}", f"{[value]}")
    for shown in (*texts, json_text.dumps(value), json.dumps(value, default=str)):
        assert "hunter2" not in shown
        assert "***" in shown


def test_a_part_of_a_secret_may_be_shown() -> None:
    assert str(Secret(lambda: "X-Key=hunter2", "X-Key=***")) == "X-Key=***"


def test_a_secret_is_read_again_at_every_use() -> None:
    values = iter(["old", "new"])
    value = Secret(lambda: next(values))

    assert (value.reveal(), value.reveal()) == ("old", "new")
