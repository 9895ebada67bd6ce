"""Repeatable requests: by method, preconditions and Idempotency-Key."""

from __future__ import annotations

import pytest

from sidecars.ambassador.http.request_head import CombinedEdits, Http1Request, RequestParser


def request(method: str, *fields: str, edits: CombinedEdits | None = None) -> Http1Request:
    head = "\r\n".join((f"{method} / HTTP/1.1", "Host: a", *fields)).encode("latin-1")
    parser = RequestParser((), edits)
    for _ in range(3):  # the third time from the cache
        found = parser.parse(head, len(head))
    return found


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_method_is_repeatable(method: str) -> None:
    assert request(method).idempotent


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK", "get", "PROPFIND"])
def test_any_other_method_is_not(method: str) -> None:
    assert not request(method).idempotent


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "field",
    [
        "If-None-Match: *",
        "if-none-match:*",
        'IF-MATCH: "v1"',
        "If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
        "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
        'If-Range: "v1"',
        'If: (["v1"])',
        'If-Schedule-Tag-Match: "v1"',
        "If-Match:",
    ],
)
def test_a_precondition_that_its_own_effect_would_fail_is_not_repeatable(method: str, field: str) -> None:
    assert not request(method, field).idempotent
    assert not request(method, "Cookie: a=b", "X-First: 1", field, "X-Last: 1").idempotent


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("field", ['If-None-Match: "v1"', 'If-Match: "v1"', 'If-Range: "v1"'])
def test_a_safe_method_has_no_effect_that_its_precondition_could_see(method: str, field: str) -> None:
    assert request(method, field).idempotent


@pytest.mark.parametrize("field", ["X-If-Match: 1", "Iffy: 1", "X: If-Match: 1", "Identity: 1"])
def test_a_field_that_only_looks_like_a_precondition_is_none(field: str) -> None:
    assert request("PUT", field).idempotent


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("field", ['Idempotency-Key: "8e03978e"', "idempotency-key:8e03978e"])
def test_an_idempotency_key_makes_a_post_repeatable(method: str, field: str) -> None:
    assert request(method, field).idempotent
    assert request(method, "Authorization: x", field, "X-Last: 1").idempotent


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("POST", ["Idempotency-Key:"]),
        ("POST", ["Idempotency-Key: "]),
        ("POST", ['Idempotency-Key: ""']),
        ("POST", ["Idempotency-Key: a", "Idempotency-Key: b"]),
        ("POST", ["X-Idempotency-Key: a"]),
        ("POST", ["Idempotency-Key: a", "If-None-Match: *"]),
        ("POST", ["Idempotency-Key: a", "Connection: idempotency-key"]),
        ("LOCK", ["Idempotency-Key: a"]),
        ("PUT", ["Idempotency-Key: a", "If-None-Match: *"]),
    ],
)
def test_a_key_that_the_upstream_may_not_know_or_not_heed_changes_nothing(method: str, fields: list[str]) -> None:
    assert not request(method, *fields).idempotent


def test_what_counts_is_what_goes_out() -> None:
    assert not request("POST", "Idempotency-Key: a", edits=CombinedEdits(removed=[b"idempotency-key"])).idempotent
    assert request("PUT", "If-Match: a", edits=CombinedEdits(removed=[b"if-match"])).idempotent
    assert not request("PUT", edits=CombinedEdits(added=[b"If-Match: a\r\n"])).idempotent


# -- the program --------------------------------------------------------------------------------------------------
