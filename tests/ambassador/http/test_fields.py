from __future__ import annotations

import pytest

from sidecars.ambassador.http.fields import ControlField, Doorkeeper, FieldLineCache, FieldSyntaxError


def test_a_line_that_comes_again_is_remembered_as_it_was_judged() -> None:
    fields = FieldLineCache()
    for known in (False, False, True):
        assert (b"X-A:  b " in fields) is known
        assert fields[b"X-A:  b "] == b"X-A: b\r\n"


def test_secrets_and_long_lines_are_not_remembered() -> None:
    fields = FieldLineCache()
    for line in (b"Authorization: Bearer x", b"cookie: a=b", b"Set-Cookie: a=b", b"X-Long: " + b"y" * 300):
        for _ in range(3):
            assert fields[line]
        assert line not in fields


def test_the_memory_is_bounded() -> None:
    fields = FieldLineCache()
    for number in range(10_000):
        for _ in range(2):
            fields[b"X-Request-Id: %d" % number]
    assert 0 < len(fields) <= 2048


def test_a_bad_line_is_never_remembered() -> None:
    fields = FieldLineCache()
    for _ in range(3):
        with pytest.raises(FieldSyntaxError):
            fields[b"X : y"]


def test_a_field_that_is_acted_on_comes_apart() -> None:
    field = FieldLineCache()[b"Connection: Close,, X-a "]
    assert isinstance(field, ControlField)
    assert field.name == b"connection"
    assert field.items == (b"close", b"x-a")


def test_what_is_wrong_is_told_without_repeating_the_line() -> None:
    for line in (b"Secret : hunter2", b" Secret: hunter2", b"hunter2", b"S(: hunter2", b"Secret: hunter2\x00"):
        with pytest.raises(FieldSyntaxError) as caught:
            FieldLineCache()[line]
        assert "hunter2" not in str(caught.value)


def test_what_comes_once_is_told_from_what_comes_again() -> None:
    twice = Doorkeeper()
    assert [twice.seen(b"a"), twice.seen(b"b"), twice.seen(b"a"), twice.seen(b"a")] == [False, False, True, True]
    for number in range(100_000):
        twice.seen(b"%d" % number)
    assert not twice.seen(b"a")
