"""Values of a row, as the checks of metric families need them: numbers, timestamps, bounds, label keys. No I/O."""

from __future__ import annotations

import re
from math import isinf, isnan, nan

from sidecars.adapter.exposition.labels import LabelParser, LabelShape, MalformedLabels
from sidecars.adapter.exposition.lexer import LABELS, NUMBER, Row, excerpt
from sidecars.adapter.exposition.page_faults import InconsistentFamily, MalformedPage

LabelKey = tuple[tuple[bytes, bytes], ...]
"""Equal for raw label sets that mean the same label set."""

_LATEST = 9 * 10**18  # milliseconds: below 64 bits by more than floats round
_HUGE_EXPONENT = re.compile(rb"[eE][-+]?[0-9]{4}")
_LONG = 18  # digits that always fit into 64 bits
_MAX_WORD = 100  # characters of a timestamp: int() and decimal raise for thousands of digits


def parse_value(raw: bytes, line: int) -> float:
    """Return the value of a number. Raises InconsistentFamily if it is too large for a float."""
    value = float(raw)
    if isinf(value) and b"n" not in raw.lower():
        raise InconsistentFamily("value", line, f"the number {excerpt(raw)} is too large for 64 bits of floating point")
    return value


def check_text_timestamp(raw: bytes, line: int) -> None:
    """Raise InconsistentFamily if a timestamp of text, in milliseconds, does not fit into 64 bits."""
    if len(raw) > _LONG and (len(raw) > _MAX_WORD or abs(int(raw)) > _LATEST):
        raise _too_late(raw, line)


def check_openmetrics_timestamp(raw: bytes, line: int) -> None:
    """Raise InconsistentFamily if a timestamp of OpenMetrics, in seconds, is beyond 64 bits of milliseconds."""
    if raw and (len(raw) > _MAX_WORD or _HUGE_EXPONENT.search(raw) or abs(float(raw)) * 1000 > _LATEST):
        raise _too_late(raw, line)


def _too_late(raw: bytes, line: int) -> InconsistentFamily:
    reason = f"the timestamp {excerpt(raw)} is too large for 64 bits of milliseconds"
    return InconsistentFamily("value", line, reason)


def parse_bound(raw: bytes, label: bytes, line: int) -> float:
    """Return the bound in a bucket's `le` or a quantile's `quantile`. Raises InconsistentFamily if it is not a number.

    `label` is the label's name.
    """
    value = float(raw) if NUMBER.fullmatch(raw) else nan
    if isnan(value):
        raise InconsistentFamily("bounds", line, f'the label {excerpt(label)}="{excerpt(raw)}" is not a number')
    return value


def check_count(value: float, line: int) -> None:
    """Raise InconsistentFamily if a counter's value, or another count, is negative or NaN."""
    if isnan(value) or value < 0:
        raise InconsistentFamily("value", line, "a count cannot be negative or NaN")


def parse_labels(parser: LabelParser, row: Row, line: int) -> tuple[LabelShape, list[bytes]]:
    """Return the shape and the raw values of the row's labels. Raises MalformedPage."""
    try:
        return parser.parse(row[LABELS])
    except MalformedLabels as error:
        raise MalformedPage(line, str(error)) from None


def label_key(shape: LabelShape, values: list[bytes], without: int = -1) -> LabelKey:
    """Return the key of a label set, without the label at the index `without`."""
    return tuple([(shape.names[i], values[i]) for i in shape.sorted if i != without and values[i]])
