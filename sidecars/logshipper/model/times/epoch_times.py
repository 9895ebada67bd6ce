"""Times as numbers since 1970, and as the objects that some loggers write.

| from | value |
|---|---|
| pino, bunyan, zap | `1795860930123`, `1795860930.123`, `1.795860930123e+09`, also as text |
| log4j2's JsonLayout | `{"epochSecond":1795860930,"nanoOfSecond":123000000}` |
| protobuf's JSON of some libraries | `{"seconds":1795860930,"nanos":123000000}` |
| MongoDB | `{"$date":"2026-11-28T10:15:30.180+00:00"}`, `{"$date":{"$numberLong":"1795860930180"}}` |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sidecars.logshipper.model.times.time_parts import SECOND

UNITS = {"unix": SECOND, "unix_ms": 10**6, "unix_us": 10**3, "unix_ns": 1}

_NUMBER = re.compile(r"(-?)(\d{1,20})(?:[.,](\d{1,20}))?(?:[eE]\+?(-?\d{1,2}))?", re.ASCII)
_LEAST = ((10**8, SECOND), (10**11, 10**6), (10**14, 10**3), (10**17, 1))  # the number of 1973 in each unit
_OBJECTS = (("epochSecond", "nanoOfSecond"), ("seconds", "nanos"))


def since_1970(value: object, unit: int) -> int | None:
    """Return the nanoseconds of a number, or of its text; None if it is none. `unit`: its unit in nanoseconds."""
    if type(value) is int:
        return value * unit
    text = repr(value) if type(value) is float else value
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    sign, whole, below, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
    shift, digits = exponent - len(below), int(whole + below) * unit
    time: int = digits * 10**shift if shift >= 0 else digits // 10**-shift
    return -time if sign else time


def of_any_unit(value: Any, of_text: Callable[[str], int | None]) -> int | None:
    """Return the nanoseconds of a number of any unit, or of an object; None if it is neither.

    The unit of a number follows from its size: the numbers of the years 1973 to 2286 are different ones in each unit.
    `of_text` reads the text in an object.
    """
    if type(value) is dict:
        return _of_object(value, of_text)
    size = since_1970(value, 1)
    unit = next((unit for least, unit in _LEAST if least <= (size or 0) < 100 * least), None)
    return None if unit is None else since_1970(value, unit)


def _of_object(value: dict[str, Any], of_text: Callable[[str], int | None]) -> int | None:
    for seconds, below in _OBJECTS:
        if type(value.get(seconds)) is int and type(value.get(below, 0)) is int:
            return int(value[seconds]) * SECOND + int(value.get(below, 0))
    date = value.get("$date")
    if type(date) is dict:
        return since_1970(date.get("$numberLong"), UNITS["unix_ms"])
    return of_text(date) if type(date) is str else since_1970(date, UNITS["unix_ms"])
