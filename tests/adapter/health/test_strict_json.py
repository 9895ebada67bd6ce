"""JSON with two meanings, or out of bounds, is refused."""

from __future__ import annotations

import pytest

from sidecars.adapter.health.strict_json import NotAHealthDocument, parse_json


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "DOWN", "status": "UP"}',
        b'{"status": "UP", "components": {"db": {"status": "DOWN"}, "db": {"status": "UP"}}}',
        b'[{"Status": "critical", "Stat\\u0075s": "passing"}]',
    ],
)
def test_an_object_with_a_member_twice_is_not_guessed_at(body: bytes) -> None:
    with pytest.raises(NotAHealthDocument, match="a member twice"):
        parse_json(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"],
)
def test_what_is_no_json_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(NotAHealthDocument) as caught:
        parse_json(body)

    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[" + b"1," * 100 + b"1]", b"[" * 101, b'{"a":[' + b"[],[]," * 50 + b"1]}"])
def test_more_values_than_the_limit_are_refused_before_they_are_parsed(body: bytes) -> None:
    with pytest.raises(NotAHealthDocument, match="more than 100 values"):
        parse_json(body, 100)


def test_as_many_values_as_the_limit_are_parsed() -> None:
    assert parse_json(b"[" + b"1," * 99 + b"1]", 100) == [1] * 100
