"""The keys of objects. They follow from the batch alone, so that a batch that is sent again is the same object. Pure.

    logs/ shop/shop-0/2026/11/30/06/ 20261130T061502.104730000Z-2sXq…-000000000081920-6e2b4c1f90aa37d5 .ndjson.gz
    prefix          template         time of the first event, its file and offset, key of the batch

- The template gives each event its place. Events of one batch with different places are different objects.
- The end cannot be changed. The key of the batch is that of its ranges in the files: no other batch has it.
- The order of the names is that of the first events' times, in nanoseconds, and in one file that of the offsets, too.
- No part is taken from the clock: an event without a time has that of its batch, which the journal keeps.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.target_names import OVERFLOW, TargetTemplate
from sidecars.logshipper.transform.parsing import name_templates

OTHER = "other/"
"""The place of the events that find no other one."""

_EXTENSIONS = {"none": ".ndjson", "gzip": ".ndjson.gz", "zstd": ".ndjson.zst"}
_TYPES = {"none": "application/x-ndjson", "gzip": "application/gzip", "zstd": "application/zstd"}
_MOST_PLACES = 100  # of values of fields, in an hour
_KEY_DIGITS = 16
_LONGEST = 1024  # bytes
_BY_EXTENSION = {extension: algorithm for algorithm, extension in _EXTENSIONS.items()}
_END = re.compile(r"\d{8}T\d{6}\.\d{9}Z-[0-9a-z]+-\d{15,}-[0-9a-f]{16}(?P<extension>\.ndjson(\.gz|\.zst)?)\Z", re.ASCII)
_LAST = 2**63  # nanoseconds since 1970
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)


class KnownKeys(NamedTuple):
    """The keys of the objects of a batch that an earlier process has begun to store, from the journal.

    So a batch in flight at a change of the settings, or of the version, is stored under its first keys. If it has one,
    all of its events belong there. If it has several, an event belongs to that of its place by the `template` of then.
    `division` is a checksum of which events are in which of several: if other settings move an event to an object that
    is stored already, it is not in it.
    """

    template: str
    compression: str
    by_place: dict[str, str]
    division: int | None

    @property
    def only_place(self) -> str | None:
        """The place of all events; None if there are several."""
        return next(iter(self.by_place)) if len(self.by_place) == 1 else None


def known_keys(note: Any, prefix: str) -> KnownKeys | None:
    """Return the keys in a note; None if there are none, or if it has one that is not below the prefix of now."""
    match note:
        case {"template": str(template), "keys": [_, *_] as keys, **others}:
            found, noted = [_key(key, prefix) for key in keys], others.get("division")
        case _:
            return None
    places = {key.removeprefix(prefix)[: -len(end[0])]: key for key, end in zip(keys, found, strict=True) if end}
    extensions = {end["extension"] for end in found if end}
    if len(places) < len(keys) or len(extensions) > 1 or not _is_template(template):
        return None
    return KnownKeys(template, _BY_EXTENSION[extensions.pop()], places, noted if isinstance(noted, int) else None)


def _key(key: Any, prefix: str) -> re.Match[str] | None:
    """Return the end of a key, if it is one of ours below the prefix."""
    if not isinstance(key, str) or not key.startswith(prefix) or len(key) > _LONGEST or not key.isprintable():
        return None
    return None if {".", ".."}.intersection(key.split("/")) else _END.search(key, len(prefix))


def _is_template(text: str) -> bool:
    try:
        TargetTemplate(text)
    except ValueError:
        return False
    return True


class FirstEvent(NamedTuple):
    """The first event of an object: its file, its offset there, and its time in nanoseconds since 1970."""

    generation: str
    offset: int
    time: int


class Places:
    """The place of each event by the template of SINK_OBJECT_KEY. Owned by the sink.

    The number of places is bounded twice: values of fields by `TargetTemplate`, in an hour, and all places of a batch
    by its pack. Times alone have no bound of their own: an old log may have many days.
    """

    def __init__(self, template: str, prefix: str = "") -> None:
        self.text, self.prefix = template, prefix
        self._template = TargetTemplate(template)
        fields = [part for part in name_templates.parse(template) if isinstance(part, name_templates.Field)]
        by_values = "/".join(f"{{{part.name}}}" for part in fields)
        self._bounded = TargetTemplate(by_values, most=_MOST_PLACES) if fields else None
        self._beyond = 0  # events of a batch that had too many places

    def restore(self, receipt: Any) -> Any:
        """Take the receipt of an earlier process, and return the one to save."""
        return self._bounded.restore(receipt) if self._bounded else None

    @property
    def receipt(self) -> Any:
        """The receipt to save with the positions: see `TargetTemplate`."""
        return self._bounded.receipt if self._bounded else None

    @property
    def overflowed(self) -> int:
        """Number of events that went to `other/`, because there were too many places."""
        return self._beyond + (self._bounded.overflowed if self._bounded else 0)

    def count_beyond(self) -> None:
        """Note that a batch has too many places for one of its events."""
        self._beyond += 1

    def of(self, records: Records, batch: Batch) -> Sequence[str]:
        """Return the place of each event of the records. Call it once for records, in the order of the batches."""
        places = self._template.unbounded(records, batch)
        if self._bounded is None:
            return places
        by_values = self._bounded.names(batch)
        if OVERFLOW not in by_values:
            return places
        return [OTHER if values == OVERFLOW else place for place, values in zip(places, by_values, strict=True)]


def object_key(prefix: str, place: str, first: FirstEvent, batch_key: str, compression: str) -> str:
    """Return the key of an object. `batch_key`: `Batch.key`."""
    seconds, fraction = divmod(max(0, min(first.time, _LAST)), 10**9)
    when = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{fraction:09}Z"
    end = f"{when}-{first.generation}-{first.offset:015}-{batch_key[:_KEY_DIGITS]}{_EXTENSIONS[compression]}"
    return f"{prefix}{place}{end}"


def content_fields(compression: str, *, encoding: bool) -> list[tuple[str, str]]:
    """Return the header fields that describe an object. `encoding`: the compression is named as an encoding.

    Athena, Spark and DuckDB go by the extension. With Content-Encoding, many clients unpack an object by themselves.
    """
    if encoding and compression != "none":
        return [("Content-Type", _TYPES["none"]), ("Content-Encoding", compression)]
    return [("Content-Type", _TYPES[compression])]
