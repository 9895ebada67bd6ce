"""The query of a request for the live tail."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from sidecars.logshipper.live import tail_query

INPUTS = ("access", "app")


@pytest.mark.parametrize(
    ("query", "name", "limit"),
    [("", None, None), ("input=app", "app", None), ("limit=10&input=", None, 10), ("match=&limit=", None, None)],
)
def test_what_is_not_asked_for_is_all(query: str, name: str | None, limit: int | None) -> None:
    asked = tail_query.parse(query, INPUTS)
    assert (asked.input, asked.match, asked.limit) == (name, None, limit)


@pytest.mark.parametrize("query", ["match=caf%C3%A9+took%20%5Cd%2B+ms", "match=caf%c3%a9%20took%20%5cd%2b%20ms"])
def test_a_regex_is_decoded_as_curl_and_forms_encode_it(query: str) -> None:
    match = tail_query.parse(query, INPUTS).match
    assert match is not None
    assert match.search("a café took 12 ms".encode())
    assert not match.search("a café took  ms".encode())


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("grep=x", "the query has a name that is none of input, match, limit"),
        ("input=shop", "there is no such input: there is access, app"),
        ("limit=1&limit=2", "limit stands twice"),
        ("limit=0", "limit is no number from 1 to 999999999"),
        ("limit=-1", "limit is no number from 1 to 999999999"),
        ("limit=%D9%A3", "limit is no number from 1 to 999999999"),
        ("limit=1000000000", "limit is no number from 1 to 999999999"),
        ("match=%FF", "match is not UTF-8"),
        ("match=(", "match is not a regex: missing ), unterminated subpattern at character 1"),
        ("match=a(%3F%3Db)", "match cannot be matched in linear time: invalid perl operator: (?= at character 2"),
        ("match=" + "a" * 257, "match is longer than 256 characters"),
        ("match=" + "a" * 5000, "the query is longer than 4096 characters"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(query: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        tail_query.parse(query, INPUTS)
    assert str(told.value) == sentence


@pytest.mark.parametrize("pattern", ["(.{0,300}){0,3}z", "(.|..|...|....){0,400}z", "[^z]{0,900}.{0,900}z"])
def test_a_regex_whose_automaton_is_large_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="match cannot be matched in linear time: pattern too large"):
        tail_query.parse(f"match={quote(pattern)}", INPUTS)
