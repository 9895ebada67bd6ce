"""The names of events' targets: an index, a topic or the key of an object for each event, made by a template.

    logs-{tenant}-%Y.%m.%d  ─►  logs-shop-2026.11.30, logs-unknown-2026.12.01, …, logs-overflow

**Names follow from the batch**, so that a batch that is sent again goes to the same targets: from the events, their
labels and `Batch.at`, never from the clock.

**Values are cleaned.** The app chooses them. A value becomes 63 characters of a small alphabet at most, and never `.`
or `..`. A label or Pod field wins over a parsed field of that name, which the app could forge.

**The number of names is bounded**: `most` of them in an hour (that of `Batch.at`), the last of which is `overflow`. The
table of the names that were admitted is a part of the sink's receipt: `seen_names` says why. Names are made in the
order of the batches: see `in_order`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

from sidecars.chassis.runtime import logs
from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.record_templates import file_name
from sidecars.logshipper.sinks.encodings.seen_names import SeenNames
from sidecars.logshipper.transform.parsing import name_templates
from sidecars.logshipper.transform.parsing.name_templates import BATCH_KEY, Field, Moment, Part

log = logs.get("ship")

Clean = Callable[[str], str]
"""Returns a value in the characters that a target may have, as `clean_value` does."""

OVERFLOW, UNKNOWN = "overflow", "unknown"
LONGEST_VALUE = 63  # characters
_READ = 256  # characters of a value that are looked at, and that a cache keeps
_SECOND = 10**9  # nanoseconds
_LAST = 2**63 - 1


@lru_cache(maxsize=1024)
def clean_value(value: str) -> str:
    """Return the value in `A-Za-z0-9._=-`: for keys of objects."""
    cleaned = re.sub(r"[^A-Za-z0-9._=-]", "_", value)[:LONGEST_VALUE]
    return cleaned.replace(".", "_") if not cleaned.strip(".") and cleaned else cleaned or UNKNOWN


@lru_cache(maxsize=1024)
def clean_topic(value: str) -> str:
    """Return the value in `A-Za-z0-9._-`: for topics."""
    return clean_value(value).replace("=", "_")


@lru_cache(maxsize=1024)
def clean_index(value: str) -> str:
    """Return the value in `a-z0-9._-`, beginning with a letter or digit: for indexes and data streams."""
    return clean_topic(value).lower().lstrip("._-") or UNKNOWN


class TargetTemplate:
    """The template of one sink's targets. The sink owns it, and saves `receipt` with each outcome.

    `clean` is applied to each value of a field. `most`: names in an hour; None: they are not
    bounded, for keys of records. `longest`: bytes of a name. Raises ValueError
    with a sentence if the text is no template, or may be longer.
    """

    def __init__(self, text: str, *, clean: Clean = clean_value, most: int | None = 100, longest: int = 1024) -> None:
        self._parts = name_templates.parse(text)
        if (size := name_templates.longest(self._parts, LONGEST_VALUE)) > longest:
            raise ValueError(f"expected a template of names of {longest} bytes at most, and these have up to {size}")
        self._clean = clean
        self._most = most
        self._seen = SeenNames(0 if most is None else most - 1)
        self._overflow = self._overflow_name()
        self.is_constant = name_templates.is_constant(self._parts)
        self.in_order = asyncio.Lock()
        """Held by the sink while it makes the names of a batch, so that batches have their turns: its queue is fair."""
        self.overflowed = 0
        """Number of events whose target became `overflow`; those of a batch that is sent in halves count again."""
        self.receipt: dict[str, str] = {"targets": ""}
        """The table, for the sink's receipt. It is always the same object, and always up to date."""

    def restore(self, receipt: Any) -> dict[str, str]:
        """Take the table of an earlier process from the sink's receipt, if it has one. Return `receipt`."""
        self._seen.restore(receipt.get("targets") if isinstance(receipt, dict) else None)
        self.receipt["targets"] = self._seen.saved
        return self.receipt

    def names(self, batch: Batch) -> list[str]:
        """Return the name of each event's target. Call it once for a batch, in the order of the batches."""
        if self.is_constant:
            return ["".join(map(str, self._parts))] * batch.events
        names: list[str] = []
        for records in batch.records:
            names += self.unbounded(records, batch)
        return self._bounded(names, batch)

    # -- names ---------------------------------------------------------------------------------------------------------

    def unbounded(self, records: Records, batch: Batch) -> list[str]:
        """Return the name of each event's target, of any number of targets. `records` are some of the batch."""
        count = len(records.bodies)
        columns = [self._column(part, records, batch) for part in self._parts]
        if all(isinstance(column, str) for column in columns):
            return ["".join(map(str, columns))] * count
        whole = [[column] * count if isinstance(column, str) else column for column in columns]
        return list(map("".join, zip(*whole, strict=True)))

    def _column(self, part: Part, records: Records, batch: Batch) -> str | Sequence[str]:
        """Return the text of a part for each event, or the one that all have."""
        if isinstance(part, str):
            return part
        if isinstance(part, Moment):
            return _moments(part, records.times, batch.at)
        if (constant := _constant(part.name, records, batch)) is not None:
            return self._clean(constant[:_READ])
        return [self._clean(value[:_READ]) for value in _values(part, records)]

    # -- the bound -----------------------------------------------------------------------------------------------------

    def _bounded(self, names: list[str], batch: Batch) -> list[str]:
        """Return the names, with `overflow` for those that find no place in the table."""
        if self._most is None:
            return names
        refused = self._seen.admit((name for name in dict.fromkeys(names) if name != self._overflow), batch.at)
        self.receipt["targets"] = self._seen.saved
        if not refused:
            return names
        self._tell(batch)
        bounded = [self._overflow if name in refused else name for name in names]
        self.overflowed += sum(name in refused for name in names)
        return bounded

    def _tell(self, batch: Batch) -> None:
        if not self.overflowed:
            log.warning(
                "the lines have more targets than an hour may have: further ones go to the target of the rest",
                code="too-many-targets",
                sink=batch.sink,
                targets=self._most,
                rest=self._overflow,
            )

    def _overflow_name(self) -> str:
        """Return the name with one `overflow` for all that may vary: from the first field or time to the last one."""
        varying = [index for index, part in enumerate(self._parts) if not isinstance(part, str)]
        if not varying:
            return ""
        parts = [*self._parts[: varying[0]], OVERFLOW, *self._parts[varying[-1] + 1 :]]
        return "".join(map(str, parts))


# -- columns -------------------------------------------------------------------------------------------------------


def _moments(part: Moment, times: Sequence[int | None] | None, at: int) -> str | Sequence[str]:
    """Return the text of the events' times. `at`: the time of an event without one, in nanoseconds."""
    quantum = part.seconds * _SECOND
    if times is None:
        return _moment(part.form, at // quantum * part.seconds)
    known_times = [at if time is None else time for time in times]
    earliest, latest = min(known_times, default=at), max(known_times, default=at)
    if earliest // quantum == latest // quantum:
        return _moment(part.form, earliest // quantum * part.seconds)
    starts = [time // quantum for time in known_times]
    known = {start: _moment(part.form, start * part.seconds) for start in set(starts)}
    return next(iter(known.values())) if len(known) == 1 else [known[start] for start in starts]


def _moment(form: str, seconds: int) -> str:
    return time.strftime(form, time.gmtime(max(0, min(seconds, _LAST // _SECOND))))


def _constant(name: str, records: Records, batch: Batch) -> str | None:
    """Return the value that all events of the records have; None if each has its own."""
    if name in records.labels:
        return records.labels[name]
    if name == BATCH_KEY:
        return batch.key
    if name == "input":
        return records.chunk.input
    if name == "file":
        return file_name(records).rpartition("/")[2]
    if name == "level":
        return "" if records.levels is None else None
    return "" if records.fields is None else None


def _values(part: Field, records: Records) -> Iterable[str]:
    """Return the value of a field for each event; "" if it has none."""
    if part.name == "level":
        return (severity.of(level).name.lower() if level else "" for level in records.levels or ())
    fields, path = records.fields, part.path
    if isinstance(fields, Table):
        return fields.column(path.literal) if path.literal in fields.names else repeat("", len(fields))
    if isinstance(fields, JsonObjects) and path.literal in fields.members and not path.is_nested:
        return map(_text, fields.members[path.literal])
    return (_text(path.get(one)) for one in fields or ())


def _text(value: Any) -> str:
    """Return a text, number or boolean as text; "" for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""
