"""Formats: the values of FORMAT, which is one format or two between a comma.

| value | the first step reads the line | the second step reads the first one's `message` |
|---|---|---|
| `cri`, `docker` | as an entry of a container runtime | |
| `json`, `logfmt`, `regex` | into fields | |
| `record` | as a record or dead letter of ours: see `own_records` | |
| `cri,json` and others | with any format but `raw` | with `json`, `logfmt` or `regex` |

Entries of a container runtime are joined to lines, and lines to events (MULTILINE), before the second step.
"""

from __future__ import annotations

from typing import NamedTuple

CONTAINERS = ("cri", "docker")
PARSERS = ("json", "logfmt", "regex")
RECORD = "record"
FIRST = ("raw", *PARSERS, *CONTAINERS, RECORD)


class FormatSteps(NamedTuple):
    """The steps of a FORMAT."""

    container: str  # the format of a container runtime, or ""
    parsers: tuple[str, ...]  # none, one or two of PARSERS

    @property
    def body(self) -> str:
        """The format of an event's text: what the first parser reads, or "raw"."""
        return self.parsers[0] if self.parsers else "raw"

    @property
    def last(self) -> str:
        """The format whose fields a record has."""
        return self.parsers[-1] if self.parsers else self.container or "raw"


def parse_steps(raw: str) -> FormatSteps:
    """Return the steps of a FORMAT. Raises ValueError with the formats that are expected."""
    first, *second = (word.strip() for word in raw.split(","))
    known = f"expected {', '.join(FIRST[:-1])} or {FIRST[-1]}"
    if first not in FIRST or len(second) > 1 or (second and second[0] not in PARSERS):
        raise ValueError(f"{known}; a second one after a comma reads the first one's message: {', '.join(PARSERS)}")
    if second and first == RECORD:
        raise ValueError(f"{raw}: a record has its fields already")
    if second and first == "raw":
        raise ValueError(f"{raw} is {second[0]}: raw reads nothing")
    if second == [first] and first in ("regex", "logfmt"):
        raise ValueError(f"{first} cannot read the message of {first}")
    if first in CONTAINERS:
        return FormatSteps(first, tuple(second))
    return FormatSteps("", () if first in ("raw", RECORD) else (first, *second))
