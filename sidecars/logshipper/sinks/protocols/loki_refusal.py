"""Which events a 400 of Loki's is about: it may have stored the others.

Loki checks each entry, stores those that pass, and answers 400 with a text when there were others. The text names them
only as far as it goes, and of several streams it may name one. So this is a *reading* of that text: it returns the
entries only where it is certain that they are all there are (the texts are those of pkg/validation and pkg/ingester in
Loki 2.9 to 3.5). Where it is not, the sink takes the whole batch for refused, for nothing may be lost in silence.
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


def refused_entries(answer: str, texts: Sequence[str], times: Sequence[int]) -> list[int] | None:
    """Indices of the entries of one stream that the answer is about. None: it cannot be told."""
    answer = answer.strip()
    if total := _TOTAL.search(answer):
        named = {parse_go_time(found) for found in _IGNORED.findall(answer)}
        indices = [index for index, time in enumerate(times) if time in named]
        return indices if len(indices) == int(total[1]) and answer.count("total ignored") == 1 else None
    if found := _TOO_LONG.fullmatch(answer):
        return [index for index, text in enumerate(texts) if len(text.encode()) > int(found[1])] or None
    if (found := _TOO_OLD.fullmatch(answer)) and (oldest := parse_go_time(found[1])) is not None:
        return [index for index, time in enumerate(times) if time < oldest] or None
    return None


def ignored_count(answer: str) -> int | None:
    """How many entries of one stream the answer says were ignored. None: it does not."""
    totals = _TOTAL.findall(answer)
    return int(totals[0]) if len(totals) == 1 else None


def parse_go_time(text: str) -> int | None:
    """A time as Go's `String` or RFC 3339 has it; None when it is neither."""
    found = _GO.fullmatch(text)
    if not found:
        return None
    zone = found[4].replace("Z", "+0000").replace(":", "")
    try:
        moment = datetime.strptime(f"{found[1]} {found[2]} {zone}", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * _SECOND + int((found[3] or "").ljust(9, "0"))
