"""Reads a 400 of Loki's: which entries did it refuse? It may have stored the others.

Loki checks each entry, stores those that pass, and responds with a 400 and a text if there were others. The text names
ten of them at most, and may name only one of several streams. So the result is certain or None: indices are returned
only if they are all refused entries. For None the sink treats the whole batch as refused, since no line may be lost
without a count. The texts are those of pkg/validation and pkg/ingester in Loki 2.9 to 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_IGNORED = re.compile(r"entry with timestamp (\S+ \S+ [+-]\d{4}) \S+ ignored, reason: ")
_TOTAL = re.compile(r"total ignored: (\d{1,9}) out of \d+ for stream: ")
_GROUP = r"(?:\d+ errors? like: )?"
_TOO_LONG = re.compile(
    _GROUP
    + r"[Mm]ax entry size '?(\d{1,12})'? bytes exceeded for stream '[^']*' "
    + r"while adding an entry with length '?\d+'? bytes"
)
_TOO_OLD = re.compile(
    _GROUP + r"entry for stream '[^']*' has timestamp too old: [^\s,]+, oldest acceptable [^:]* is: (\S+)"
)
_GO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9


def refused_entries(text: str, lines: Sequence[str], times: Sequence[int]) -> list[int] | None:
    """Return the indices of all entries of one stream that the text says were refused; None if that is uncertain.

    `lines` and `times` (nanoseconds since 1970) are the entries as they were sent.
    """
    text = text.strip()
    if total := _TOTAL.search(text):
        named = {parse_go_time(found) for found in _IGNORED.findall(text)}
        indices = [index for index, time in enumerate(times) if time in named]
        return indices if len(indices) == int(total[1]) and text.count("total ignored") == 1 else None
    if found := _TOO_LONG.fullmatch(text):
        return [index for index, line in enumerate(lines) if len(line.encode()) > int(found[1])] or None
    if (found := _TOO_OLD.fullmatch(text)) and (oldest := parse_go_time(found[1])) is not None:
        return [index for index, time in enumerate(times) if time < oldest] or None
    return None


def ignored_count(text: str) -> int | None:
    """Return the number of refused entries of one stream that the text gives; None if it gives no number."""
    totals = _TOTAL.findall(text)
    return int(totals[0]) if len(totals) == 1 else None


def parse_go_time(text: str) -> int | None:
    """Return the nanoseconds since 1970 of a time as Go's `String` or RFC 3339 writes it; None for any other text."""
    found = _GO.fullmatch(text)
    if not found:
        return None
    zone = found[4].replace("Z", "+0000").replace(":", "")
    try:
        second = datetime.strptime(f"{found[1]} {found[2]} {zone}", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return (second - _EPOCH) // timedelta(seconds=1) * _SECOND + int((found[3] or "").ljust(9, "0"))
