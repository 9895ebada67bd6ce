"""JSON as an app has sent it, parsed without a guess. No I/O."""

from __future__ import annotations

import json
from math import inf
from typing import Any


class NotAHealthDocument(Exception):
    """No health document that is known. The message is a phrase that follows the URL in a sentence."""


def parse_json(body: bytes) -> Any:
    """Return the JSON value. Raises NotHealth; the message repeats nothing of the body."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except _Twice:
        raise NotAHealthDocument(
            "answered with JSON in which an object has a member twice: which of them counts?"
        ) from None
    except UnicodeDecodeError:
        raise NotAHealthDocument("answered with what is not JSON: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotAHealthDocument(f"answered with what is not JSON: line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of brackets
        raise NotAHealthDocument("answered with JSON that is out of all bounds") from None


class _Twice(Exception):
    """An object has two members of one name."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Readers differ in which of two members of one name they take (RFC 8259, section 4)."""
    found = dict(members)
    if len(found) != len(members):
        raise _Twice
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def as_float(number: float) -> float:
    """Return a number of JSON as floating point: infinite beyond it, as JSON's 1e999 is."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf
