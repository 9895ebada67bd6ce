"""The picture of a sidecar: a description of its tables over the JSON of `/status`. Pure.

A sidecar declares one constant in `sidecars/<name>/picture.py` and passes a function that imports it to
`admin_server.serve`. The script of `page.html` interprets it in a browser, and `document` once on the server, for
`<noscript>` and text browsers:

    PICTURE = Picture(
        Table(
            "Endpoints",
            rows="upstreams.*.targets.*.endpoints.*",
            key="address",
            columns=(
                Column("Upstream", "key:0"),                                      # captured by the first `*`
                Column("Endpoint", "address"),                                    # a member of the row
                Column("DNS age", "dns_age_seconds", "seconds"),                  # of the target around it
                Column("State", "state", "state"),
                Column("Share", "requests", "rate-share", of="key:0"),            # of the upstream's endpoints
                Column("Requests", "requests", "rate-spark"),
                Column("p99", "latency", "p99-spark"),
            ),
            empty="No endpoint is known yet.",
        ),
        Words("Ledger", "ledger"),
    )

**Paths.** Names of members, joined by dots; a number is an index of a list. `*` captures every member of an object or
of a list. `key:N` is the N-th captured key. The first name of a column's path is looked up in the row; if the row has
no such member, in the objects around it, from the inside out; the last one is the whole status. An object or a list
whose members `*` captures is passed over, since the names of its members are not ours. `.` is the row itself, for rows
that are no objects. A path that leads nowhere is an empty cell.

**Rates.** `/status` has counters. The page keeps the last minute of each cell and shows differences. A counter that
falls was reset, by a restart: the cell begins anew, and no rate is negative. Without a script there is one status
alone, so a rate is shown as its count, and a quantile is the one since the start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Kind = Literal[
    "text",
    "state",
    "count",
    "rate",
    "bytes",
    "seconds",
    "share",
    "rate-share",
    "bar",
    "spark",
    "rate-spark",
    "p50",
    "p99",
    "p50-spark",
    "p99-spark",
    "digest",
    "list",
]
"""How a value is shown. `null`, "" and a missing value are shown as a dash.

kind         value                      shown
text         any                        as text; true and false as yes and no
state        word, with words behind it   the word with a symbol of STATES
count        number                     with thousands separated; `unit` may be bytes or seconds
rate         counter                    its increase a second, over the last 10 s; with `unit` bytes in bytes
bytes        number                     as B, KiB, MiB …
seconds      number of seconds          as µs, ms, s, min, h or d: a duration or an age
share        number                     its percentage of the sum of the column, with a bar
rate-share   counter                    the same, of the rates
bar          number                     with a bar: a part of the number at `of`, else of the column's largest
spark        list of numbers, from old to new   a line, without a number
rate-spark   counter                    its rate, and a line of the rates of the last minute
p50, p99     cumulative buckets         the quantile of the last minute, of seconds unless `unit` says otherwise
p50-spark, p99-spark                    and a line of the quantiles over 10 s each
digest       text                       its first 12 characters; the whole one as a tooltip
list         list or object             members, or names with their values, in one line; zeros are left out

Cumulative buckets are a list of pairs of upper bound and count, or an object: `{"0.001": 3, "0.01": 7, "+Inf": 8}`.
"""

Unit = Literal["", "bytes", "seconds"]

KINDS: frozenset[str] = frozenset(get_args(Kind))
UNITS: frozenset[str] = frozenset(get_args(Unit))
_OF_GROUP = frozenset({"share", "rate-share"})
_OF_WHOLE = frozenset({"bar"})

STATES: dict[str, tuple[str, ...]] = {
    "ok": (
        *("ready", "serving", "healthy", "pass", "ok", "good", "alive", "verified", "deployed", "closed", "balanced"),
        *("yes", "idle", "sending"),
    ),
    "warn": (
        *("warn", "warning", "unchecked", "starting", "probation", "trial", "waiting", "backing off", "half-open"),
        *("searching", "standing by", "leaving", "copying", "draining", "stale", "unknown", "panic"),
        *("degraded", "failing", "limited", "slow start"),
    ),
    "bad": (
        *("not ready", "not alive", "no answer", "fail", "failed", "bad", "ejected", "unhealthy", "error", "open"),
        *("down", "rolled back", "lost", "unbalanced", "no", "refused", "refuses every line"),
    ),
}
"""The words of a state, in lower case. A state has the symbol of a word if it is the word or begins with it, as in
"ejected: 3 failures in a row". The symbol of any other state is neutral."""

_NAME = r"[A-Za-z_][\w-]*|\d+"
_CAPTURED = re.compile(r"key:(\d+)")
_PATH = re.compile(rf"(?:{_NAME})(?:\.(?:{_NAME}))*")
ITSELF = "."
_BETWEEN = "|"
_ROWS = re.compile(rf"(?:{_NAME})(?:\.(?:{_NAME}|\*))*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and the path and the kind of its values.

    `of` is a path, too. For `bar` it leads to the whole; "" is the largest value of the column. For `share` and
    `rate-share` it leads to the name of the row's group, in which the shares add up to 100 %; "" is the whole column.
    """

    title: str
    path: str
    kind: Kind = "text"
    of: str = ""
    unit: Unit = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a description that no page could show."""
        where = f"column {self.title!r}"
        if not self.title or _BETWEEN in self.title:
            raise ValueError(f"column of {self.path!r}: it needs a title, without {_BETWEEN}")
        _check_path(self.path, where)
        if self.kind not in KINDS:
            raise ValueError(f"{where}: kind {self.kind!r}; expected one of {', '.join(sorted(KINDS))}")
        if self.unit not in UNITS:
            raise ValueError(f"{where}: unit {self.unit!r}; expected one of {', '.join(sorted(UNITS - {''}))}")
        if self.of:
            _check_path(self.of, f"{where}, of")
            if self.kind not in _OF_GROUP | _OF_WHOLE:
                raise ValueError(f"{where}: {self.kind} has no `of`; bar, share and rate-share have one")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a row for each object that the path `rows` leads to.

    The first column names the row. `key` is the path of what identifies the row between two refreshes, in the place of
    the last captured key; "" is the captured keys, which are right for objects, and for lists whose order never
    changes. `empty` is the sentence that stands there while there is no row; ""
    hides the table then.
    """

    title: str
    rows: str
    columns: tuple[Column, ...]
    empty: str = "None."
    key: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a description that no page could show."""
        where = f"table {self.title!r}"
        if not self.title:
            raise ValueError(f"table of {self.rows!r}: it needs a title")
        if not self.columns:
            raise ValueError(f"{where}: it needs a column")
        if not _ROWS.fullmatch(self.rows):
            raise ValueError(f"{where}: rows {self.rows!r}; expected names and * with dots between, a name first")
        if self.key:
            _check_path(self.key, f"{where}, key")
        captured = self.rows.split(".").count("*")
        for path in (self.key, *(path for column in self.columns for path in (column.path, column.of))):
            found = _CAPTURED.fullmatch(path)
            if found and int(found[1]) >= captured:
                raise ValueError(f"{where}: {path}, but rows {self.rows!r} captures {captured}")
        if len({column.title for column in self.columns}) < len(self.columns):
            raise ValueError(f"{where}: two columns have one title")


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence, or a list of sentences, which the sidecar itself writes. Hidden while there is none."""

    title: str
    path: str

    def __post_init__(self) -> None:
        """Raise ValueError for a description that no page could show."""
        if not self.title:
            raise ValueError(f"words of {self.path!r}: they need a title")
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"words {self.title!r}: path {self.path!r}; expected names with dots between")


Part = Table | Words


class Picture:
    """The parts of a sidecar's page, in their order. Immutable."""

    __slots__ = ("parts",)

    parts: tuple[Part, ...]

    def __init__(self, *parts: Part) -> None:
        """Raise ValueError if two parts have one title, which identifies a part in the page."""
        titles = [part.title for part in parts]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise ValueError(f"two parts of a picture are titled {', '.join(sorted(twice))}")
        self.parts = parts

    def as_json(self) -> list[dict[str, Any]]:
        """Return the parts as the script of the page reads them: a column is `title|path|kind|of|unit`, briefly."""
        return [_compact(part) for part in self.parts]


def _compact(part: Part) -> dict[str, Any]:
    shown: dict[str, Any] = {
        field.name: getattr(part, field.name) for field in fields(part) if getattr(part, field.name)
    }
    if isinstance(part, Table):
        shown["columns"] = [
            _BETWEEN.join((one.title, one.path, "" if one.kind == "text" else one.kind, one.of, one.unit)).rstrip(
                _BETWEEN
            )
            for one in part.columns
        ]
    return shown


def _check_path(path: str, where: str) -> None:
    if path != ITSELF and not (_PATH.fullmatch(path) or _CAPTURED.fullmatch(path)):
        raise ValueError(f"{where}: path {path!r}; expected names with dots between, key:N or {ITSELF}")
