"""The query of a request for the live tail: `input=`, `match=`, `limit=`, each at most once. No I/O.

The regex comes from a client, so its cost is bounded by its engine and by its size: RE2 takes linear time, and refuses
a regex whose automaton needs more than `MATCH_MEMORY`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_plus

from sidecars.logshipper.transform.patterns.linear_regex import Re2Regex, compile_re2

MATCH_MEMORY = 64 * 1024  # bytes of RE2's tables for the regex of one client
_LONGEST_MATCH = 256  # characters of a regex
_LONGEST_QUERY = 4096  # characters, encoded
_MOST = 10**9  # events
_NAMES = ("input", "match", "limit")


@dataclass(frozen=True)
class TailQuery:
    """The events that a client wants.

    input  name of the input; None: all
    match  regex that occurs in the line as it is shown; None: all
    limit  number of events after which the response ends; None: never
    """

    input: str | None = None
    match: Re2Regex | None = None
    limit: int | None = None


def parse(query: str, inputs: Collection[str]) -> TailQuery:
    """Return what a query asks for. An empty value is none. Raises ValueError with a sentence for its sender."""
    if len(query) > _LONGEST_QUERY:
        raise ValueError(f"the query is longer than {_LONGEST_QUERY} characters")
    given: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name not in _NAMES:
            raise ValueError(f"the query has a name that is none of {', '.join(_NAMES)}")
        if name in given:
            raise ValueError(f"{name} stands twice")
        given[name] = _decoded(name, value)
    return TailQuery(
        _input(given.get("input", ""), inputs), _match(given.get("match", "")), _limit(given.get("limit", ""))
    )


def _decoded(name: str, value: str) -> str:
    try:
        return unquote_plus(value, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8") from None


def _input(name: str, inputs: Collection[str]) -> str | None:
    if name and name not in inputs:
        raise ValueError(f"there is no such input: there is {', '.join(inputs)}")
    return name or None


def _match(pattern: str) -> Re2Regex | None:
    if not pattern:
        return None
    if len(pattern) > _LONGEST_MATCH:
        raise ValueError(f"match is longer than {_LONGEST_MATCH} characters")
    try:
        return compile_re2(pattern, groups=False, memory=MATCH_MEMORY)
    except ValueError as error:
        raise ValueError(f"match {error}") from None


def _limit(number: str) -> int | None:
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < len(str(_MOST)) and int(number)):
        raise ValueError(f"limit is no number from 1 to {_MOST - 1}")
    return int(number)
