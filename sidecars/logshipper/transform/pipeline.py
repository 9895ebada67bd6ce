"""From a part to its records: framed, filtered, redacted, parsed, each step over all events of the part at once.

The order matters. `KEEP` and `DROP` see an event as the app wrote it (without what a container runtime put before it).
Then it is redacted, before anything else looks at it: no field, no dead letter and no sink ever has what was taken out.
Ids are made of offsets in the file, and do not change by any of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sidecars.logshipper.model import timestamps
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields, JsonObjects, Table, unparsed
from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.model.records import Dropped, Records
from sidecars.logshipper.transform import parsers, redaction
from sidecars.logshipper.transform.cri import CriFraming
from sidecars.logshipper.transform.framing import Events, Framing, LineFraming, MultilineFraming
from sidecars.logshipper.transform.linear_regex import Finder
from sidecars.logshipper.transform.multiline import create_splitter
from sidecars.logshipper.transform.parsers import Parse
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings

T = TypeVar("T")

_OURS = ("id", "file", "partial")
_LONGEST_LEVEL = 64  # characters


class Pipeline:
    """Turns the parts of one input into records."""

    def __init__(self, settings: PipelineSettings, pod: Mapping[str, str]) -> None:
        self._labels = {**pod, **(settings.labels or {})}
        self._framing = _framing(settings)
        self.boundary = self._framing.boundary  # for whoever cuts the parts
        self._keep = Finder(settings.keep) if settings.keep else None
        self._drop = Finder(settings.drop) if settings.drop else None
        self._redactor = redaction.Redactor(settings.redact) if settings.redact else None
        self._form = settings.format
        self._parse = parsers.create_parser(settings.format, settings.regex)
        self._time_key, self._level_key = settings.time_key, settings.level_key
        self._parse_times = timestamps.column_parser(settings.time_format or "rfc3339")
        with_time, with_level = settings.time_key or settings.format == "cri", settings.level_key
        added = (*(("time",) if with_time else ()), *(("level", "severity") if with_level else ()))
        self._reserved = frozenset((*_OURS, *self._labels, *added))
        if settings.format == "json":
            keys = [key for key in (self._time_key, self._level_key) if key]
            self._parse = _documents_or(self._parse, self._reserved, keys)

    def process(self, chunk: Chunk) -> Records:
        events = self._framing.events(chunk.data, chunk.start)
        kept, dropped = self._filtered(events)
        bodies = self._redacted(kept.bodies)
        untouched = bodies is events.bodies and self._form != "cri"
        partial = chunk.partial and bool(bodies) and kept.offsets[-1] == events.offsets[-1]  # the piece was kept
        fields = self._fields(kept, bodies, partial=partial)
        times, fields = self._times(kept, fields)
        levels, fields = self._levels(fields)
        return Records(
            chunk,
            self._labels,
            bodies,
            kept.offsets,
            kept.sizes,
            kept.counts,
            times=times,
            levels=levels,
            fields=self._renamed(fields),
            partial=partial,
            dropped=dropped,
            raw=chunk.data if untouched else None,
        )

    # -- what is shipped -----------------------------------------------------------------------------------------------

    def _filtered(self, events: Events) -> tuple[Events, Dropped]:
        if self._keep is None and self._drop is None:
            return events, {}
        wanted = [self._keep is None] * len(events.bodies)
        for index in self._keep.matching(events.bodies) if self._keep else ():
            wanted[index] = True
        for index in self._drop.matching(events.bodies) if self._drop else ():
            wanted[index] = False
        if all(wanted):
            return events, {}
        kept = events.select(wanted)
        size, count = sum(events.sizes) - sum(kept.sizes), events.lines - kept.lines
        return kept, {FILTERED: (size, count)}

    def _redacted(self, bodies: list[str]) -> list[str]:
        if self._redactor is None:
            return bodies
        return self._redactor.redact_json(bodies) if self._form == "json" else self._redactor.redact_texts(bodies)

    # -- what is in it -------------------------------------------------------------------------------------------------

    def _fields(self, events: Events, bodies: list[str], *, partial: bool) -> FieldColumns | None:
        if self._form == "cri":
            streams = events.streams or ()
            return [
                {"stream": stream, MESSAGE: body} if stream else unparsed("cri", body)
                for stream, body in zip(streams, bodies, strict=True)
            ]
        if self._parse is None:
            return None
        if partial:
            fields: FieldColumns = [*self._parse(bodies[:-1]), unparsed(self._form, bodies[-1])]
        else:
            fields = self._parse(bodies)
        return fields if self._redactor is None or self._form == "json" else self._redactor.redact_fields(fields)

    def _times(
        self, events: Events, fields: FieldColumns | None
    ) -> tuple[list[int | None] | None, FieldColumns | None]:
        """The events' times, and the fields without them."""
        parse, key = self._parse_times, self._time_key
        if events.times is not None:
            return parse(events.times), fields
        if fields is None or key is None:
            return None, fields
        return _taken(fields, key, parse)

    def _levels(self, fields: FieldColumns | None) -> tuple[list[str | None] | None, FieldColumns | None]:
        """The events' levels, and the fields without them."""
        if fields is None or self._level_key is None:
            return None, fields
        return _taken(fields, self._level_key, _texts_of_levels)

    def _renamed(self, fields: FieldColumns | None) -> FieldColumns | None:
        """Fields that are called as something of ours get an underscore behind their name."""
        reserved = self._reserved
        if isinstance(fields, Table):
            names = dict.fromkeys(fields.names)
            return fields if reserved.isdisjoint(names) else Table(tuple(_renamed(names, reserved)), fields.rows)
        if isinstance(fields, JsonObjects):
            return fields  # none has a name of ours
        if fields is None or all(map(reserved.isdisjoint, fields)):
            return fields
        return [one if reserved.isdisjoint(one) else _renamed(one, reserved) for one in fields]


def _taken(
    fields: FieldColumns, key: str, read: Callable[[list[Any]], list[T | None]]
) -> tuple[list[T | None], FieldColumns]:
    """What one field says of each event, and the fields without it. What cannot be read stays where it is."""
    if isinstance(fields, Table):
        found = read(fields.column(key))
        if None not in found and len(fields.names) > 1:
            return found, fields.without(key)
        fields = list(fields)
    if isinstance(fields, JsonObjects):
        found = read(fields.members[key])
        try:
            return found, fields.without(key, found)
        except ValueError:
            fields = list(fields)
    found = read([one.get(key) for one in fields])
    return found, _without(fields, key, found)


def _texts_of_levels(values: list[Any]) -> list[str | None]:
    if set(map(type, values)) == {str} and max(map(len, values)) <= _LONGEST_LEVEL:
        return values
    return list(map(_level, values))


def _level(value: Any) -> str | None:
    """What may be a level: a word or a number."""
    if type(value) is str:
        return value if len(value) <= _LONGEST_LEVEL else None
    return str(value) if type(value) is int else None


def _renamed(fields: Mapping[str, Any], reserved: frozenset[str]) -> Fields:
    taken = reserved | fields.keys()
    clear: Fields = {}
    for name, value in fields.items():
        free = name
        if name in reserved:
            while free in taken or free in clear:
                free += "_"
        clear[free] = value
    return clear


def _without(fields: list[Fields], key: str, read: Sequence[Any]) -> list[Fields]:
    """The fields without one, where it could be read. An event of nothing else has an empty message."""
    for found, meant in zip(fields, read, strict=True):
        if meant is not None:
            del found[key]
            if not found:
                found[MESSAGE] = ""
    return fields


def _documents_or(parse: Parse | None, ours: Iterable[str], keys: list[str]) -> Parse:
    from sidecars.logshipper.transform import json_passthrough  # noqa: PLC0415 - msgspec's 3 MB are for those who have JSON

    read = json_passthrough.create_reader(ours, keys)

    def parsed(texts: Sequence[str]) -> FieldColumns:
        found = read(texts)
        if found is None and parse is not None:
            return parse(texts)
        return found or []

    return parsed


def _framing(settings: PipelineSettings) -> Framing:
    lines = (
        create_splitter(settings.multiline, settings.max_line_size)
        if settings.format not in ("json", "logfmt")
        else None
    )
    if settings.format == "cri":
        return CriFraming(lines, settings.max_line_size)
    return MultilineFraming(lines) if lines else LineFraming()
