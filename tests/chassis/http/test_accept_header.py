"""The weights of media types (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest

from sidecars.chassis.http.accept_header import prefers, weight


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", 1.0),
        ("  ", 1.0),
        ("text/html", 1.0),
        ("text/html;q=0.3", 0.3),
        ("TEXT/HTML; Q=0.3", 0.3),
        ("text/*;q=0.5, text/html;q=0.1, */*", 0.1),
        ("text/*;q=0.5, */*", 0.5),
        ("application/json, */*;q=0.2", 0.2),
        ("application/json", 0.0),
        ("text/html;q=0", 0.0),
        ("text/html;q=2", 0.0),
        ("nonsense", 0.0),
    ],
)
def test_the_most_specific_range_has_the_weight(accept: str, expected: float) -> None:
    assert weight(accept, "text/html") == expected


def test_an_equal_weight_is_no_preference() -> None:
    assert prefers("text/html, application/json;q=0.9", "text/html", "application/json")
    assert not prefers("text/html, application/json", "text/html", "application/json")
    assert not prefers("*/*", "text/html", "application/json")
