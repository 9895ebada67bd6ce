"""Errors in words."""

from __future__ import annotations

from sidecars.ambassador.http.local_replies import ERROR_TYPES
from sidecars.ambassador.status.error_words import errors_by_reason


def test_every_error_type_has_a_meaning() -> None:
    assert all(each["meaning"] for each in errors_by_reason(dict.fromkeys(ERROR_TYPES, 1)))


def test_the_most_frequent_error_is_the_first_and_those_that_did_not_occur_are_left_out() -> None:
    found = errors_by_reason({"dns_error": 1, "connection_refused": 5, "http_response_timeout": 0})
    assert [(each["error"], each["count"]) for each in found] == [("connection_refused", 5), ("dns_error", 1)]
