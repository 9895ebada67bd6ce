"""Paths into the status, and its values as text. Pure. The script of `page.html` has the same rules.

Every text is shown as printable characters and with a limit, because a name may come from a peer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sidecars.chassis.page.picture import ITSELF, STATES, Column
from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.printable import printable, truncate

NOTHING = "—"
SYMBOLS = {"ok": "✓", "warn": "▲", "bad": "✗", "": "•"}
_GRADES = {name: re.compile(rf"({'|'.join(words)})(?![\w-])", re.IGNORECASE) for name, words in STATES.items()}
_LONGEST = 300  # characters of a text in a cell
_DIGEST = 12  # characters of a digest
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# The largest value that is shown in a unit, the unit, and its seconds.
_SECONDS = ((1e-3, "µs", 1e-6), (1, "ms", 1e-3), (120, "s", 1), (7200, "min", 60), (172800, "h", 3600))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: the keys that were captured, and the values in which its columns are looked up, inside out."""

    keys: tuple[str, ...]
    scopes: tuple[Any, ...]


def rows(status: Any, path: str) -> Iterator[Row]:
    """Yield the rows that the path leads to."""
    yield from _rows(status, path.split("."), (), ())


def _rows(value: Any, names: list[str], keys: tuple[str, ...], scopes: tuple[Any, ...]) -> Iterator[Row]:
    if not names:
        yield Row(keys, (value, *scopes))
    elif names[0] != "*":
        if (inner := member(value, names[0])) is not None:
            yield from _rows(inner, names[1:], keys, (value, *scopes))
    else:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in pairs:
            yield from _rows(inner, names[1:], (*keys, str(key)), scopes)


def member(value: Any, name: str) -> Any:
    """Return a member of an object, or of a list by its index; None if there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdigit() and int(name) < len(value):
        return value[int(name)]
    return None


def find(row: Row, path: str) -> Any:
    """Return the value of a column's path; None if it leads nowhere."""
    if path.startswith("key:"):
        return row.keys[int(path[4:])]
    if path == ITSELF:
        return row.scopes[0]
    first, *rest = path.split(".")
    value = next((found for scope in row.scopes if (found := member(scope, first)) is not None), None)
    for name in rest:
        value = member(value, name)
    return value


# -- values as text -----------------------------------------------------------------------------------------------


def shown(column: Column, value: Any) -> str:
    """Return a value of the column as text. A rate is shown as its count, a quantile is the one since the start."""
    if column.kind.startswith(("p50", "p99")):
        value = None if value is None else quantile(value, int(column.kind[1:3]) / 100)
    elif column.kind == "spark":
        value = value[-1] if isinstance(value, list) and value else None
    if value is None or value == "":
        return NOTHING
    if column.kind == "list":
        return listed(value)
    if column.kind == "digest":
        return text(value)[:_DIGEST]
    return number(column, value) if is_number(value) and column.kind not in ("text", "state") else text(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(column: Column, value: float) -> str:
    """Return a number in the unit of the column."""
    if column.kind == "bytes" or column.unit == "bytes":
        return size(value)
    if column.kind == "seconds" or column.unit == "seconds" or column.kind.startswith(("p50", "p99")):
        return duration(value)
    return count(value)


def text(value: Any) -> str:
    """Return any value as printable text of limited length."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (Mapping, list)):
        return printable(truncate(_json(value), _LONGEST))
    return printable(truncate(count(value) if is_number(value) else str(value), _LONGEST))


def _json(value: Any) -> str:
    try:
        return json_text.dumps(value)
    except RecursionError:  # only a hostile server sends such a value to sidecars-top
        return "nested too deeply"


def count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else _rounded(value)


def size(value: float) -> str:
    """Return a number of bytes as text."""
    unit = 0
    while abs(value) >= 1023.5 and unit < len(_BYTES) - 1:  # noqa: PLR2004 - it would be rounded to 1024
        value, unit = value / 1024, unit + 1
    return f"{_rounded(value)} {_BYTES[unit]}"


def duration(value: float) -> str:
    """Return a number of seconds as text."""
    if not value:
        return "0 s"
    unit, seconds = next(((unit, seconds) for limit, unit, seconds in _SECONDS if abs(value) < limit), ("d", 86400))
    return f"{_rounded(value / seconds)} {unit}"


def _rounded(value: float) -> str:
    if abs(value) < 9.95 or not math.isfinite(value):  # noqa: PLR2004 - two digits
        return f"{round(value, 2 if abs(value) < 1 else 1) + 0.0:g}"  # a ratio of 0.97 is not 1; and 0 for -0
    return f"{math.floor(value + 0.5):,}"  # halves go up, as in the script


def listed(value: Any) -> str:
    """Return the members of a list or an object in one line, without those that are zero or empty."""
    if isinstance(value, Mapping):
        found = [f"{name} {text(one)}" for name, one in value.items() if one not in (0, "", None)]
    else:
        found = [text(one) for one in value if one not in ("", None)] if isinstance(value, list) else [text(value)]
    return printable(truncate(", ".join(found), _LONGEST)) or NOTHING


def grade(word: str) -> str:
    """Return `ok`, `warn`, `bad` or "" for a state."""
    return next((name for name, pattern in _GRADES.items() if pattern.match(word)), "")


def quantile(buckets: Any, of: float) -> float | None:
    """Return the quantile of cumulative buckets, linear within a bucket as in PromQL; None if nothing was observed."""
    pairs = sorted((float(bound), float(total)) for bound, total in getattr(buckets, "items", lambda: buckets)())
    if not pairs or not pairs[-1][1]:
        return None
    rank, low, below = of * pairs[-1][1], 0.0, 0.0
    for bound, total in pairs:
        if total >= rank and total > below:
            return low if bound == float("inf") else low + (bound - low) * (rank - below) / (total - below)
        low, below = bound, total
    return low
