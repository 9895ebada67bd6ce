"""JSON of an app, parsed strictly: a document with two meanings is refused. No I/O."""

from __future__ import annotations

import json
from math import inf
from typing import Any

MOST_VALUES = 250_000
"""Values of a document. The parser of 250,000 numbers or lists keeps all other threads waiting for some 40 ms."""


class NotAHealthDocument(Exception):
    """The body is no health document of a known dialect. The text is a phrase that follows the app's URL."""


def parse_json(body: bytes, most_values: int = MOST_VALUES) -> Any:
    """Return the JSON value. Raises NotAHealthDocument; its text repeats nothing of the body.

    Commas and opening brackets are counted before the body is parsed, also in texts: `json` parses a list in one call,
    in which no other thread runs. An object has a call of `_object`, at which other threads have their turn.
    """
    if body.count(b",") + body.count(b"[") > most_values:
        raise NotAHealthDocument(f"answered with JSON beyond all limits: more than {most_values} values")
    try:
        return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except _DuplicateMember:
        duplicate = "answered with JSON in which an object has a member twice: it is unclear which one counts"
        raise NotAHealthDocument(duplicate) from None
    except UnicodeDecodeError:
        raise NotAHealthDocument("answered with invalid JSON: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotAHealthDocument(f"answered with invalid JSON: line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of brackets
        raise NotAHealthDocument("answered with JSON beyond all limits: NaN, or too many digits or levels") from None


class _DuplicateMember(Exception):
    """An object has two members of one name."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises _DuplicateMember: parsers differ in the member that they take (RFC 8259, section 4)."""
    found = dict(members)
    if len(found) != len(members):
        raise _DuplicateMember
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def as_float(number: float) -> float:
    """Return a number of JSON as a float; infinity if it is too large for one, as for 1e999."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf
