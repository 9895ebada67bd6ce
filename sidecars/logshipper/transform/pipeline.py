"""The pipeline of one input: frames, filters, redacts and parses a chunk, and returns its records.

The order of the steps is a promise:

1. Framing: the bytes become events.
2. `KEEP` and `DROP` see an event as the app wrote it, without the prefix of a container runtime.
3. Redaction is next. No field, no dead letter and no sink ever has the text that it replaced.
4. Parsing reads the redacted text into fields; the time and the level are taken out of them.

The id of an event is made of its offset in the file, and no step changes it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sidecars.logshipper.model import timestamps
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, unparsed
from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.model.records import Dropped, Records
from sidecars.logshipper.transform import parsers, pem_keys, redaction
from sidecars.logshipper.transform.cri import CriFraming
from sidecars.logshipper.transform.field_extraction import extract, read_levels, rename_reserved
from sidecars.logshipper.transform.framing import Events, Framing, LineFraming, MultilineFraming
from sidecars.logshipper.transform.linear_regex import Finder
from sidecars.logshipper.transform.multiline import create_splitter
from sidecars.logshipper.transform.parsers import Parse
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings

_KEY = pem_keys.NAMED.encode()
_RESERVED = ("id", "file", "partial")


class Pipeline:
    """Makes records of the chunks of one input. Owned by the app, shared by all shippers. Has no state.

    `pod`: labels of all records, from the downward API.
    """

    def __init__(self, settings: PipelineSettings, pod: Mapping[str, str]) -> None:
        self._labels = {**pod, **(settings.labels or {})}
        self._framing = _framing(settings)
        self.boundary = self._framing.boundary  # see `Framing`: chunks are cut there
        self._keep = Finder(settings.keep) if settings.keep else None
        self._drop = Finder(settings.drop) if settings.drop else None
        self._redactor = redaction.Redactor(settings.redact) if settings.redact else None
        self.context = pem_keys.CONTEXT if self._redactor else 0  # bytes of `Chunk.before`
        self._format = settings.format
        self._parse = parsers.create_parser(settings.format, settings.regex)
        self._time_key, self._level_key = settings.time_key, settings.level_key
        self._parse_times = timestamps.column_parser(settings.time_format or "rfc3339")
        with_time, with_level = settings.time_key or settings.format == "cri", settings.level_key
        added = (*(("time",) if with_time else ()), *(("level", "severity") if with_level else ()))
        self._reserved = frozenset((*_RESERVED, *self._labels, *added))
        if settings.format == "json":
            keys = [key for key in (self._time_key, self._level_key) if key]
            self._parse = _passthrough_or(self._parse, self._reserved, keys)

    def process(self, chunk: Chunk) -> Records:
        """Return the records of the chunk's events, without those that `KEEP` and `DROP` exclude."""
        events = self._framing.events(chunk.data, chunk.start)
        kept, dropped = self._filtered(events, self._continued(chunk, events))
        bodies = self._redacted(kept.bodies)
        untouched = bodies is events.bodies and self._format != "cri"
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
            fields=rename_reserved(fields, self._reserved),
            partial=partial,
            sized=self._open_events(chunk, kept) if chunk.open else int(partial),
            dropped=dropped,
            raw=chunk.data if untouched else None,
        )

    def _open_events(self, chunk: Chunk, kept: Events) -> int:
        """Return how many of the last events may be longer when more of the file is there."""
        first = chunk.start + (self.boundary(chunk.data) if self.boundary else 0)
        return len(kept.offsets) - bisect_left(kept.offsets, first)

    # -- filtering and redacting ---------------------------------------------------------------------------------------

    def _filtered(self, events: Events, continued: Events) -> tuple[Events, Dropped]:
        """Return those of the events that are kept, as they are in `continued`."""
        if self._keep is None and self._drop is None:
            return continued, {}
        wanted = [self._keep is None] * len(events.bodies)
        for index in self._keep.matching(events.bodies) if self._keep else ():
            wanted[index] = True
        for index in self._drop.matching(events.bodies) if self._drop else ():
            wanted[index] = False
        if all(wanted):
            return continued, {}
        kept = continued.select(wanted)
        size, count = sum(events.sizes) - sum(kept.sizes), events.lines - kept.lines
        return kept, {FILTERED: (size, count)}

    def _continued(self, chunk: Chunk, events: Events) -> Events:
        """Return the events without the rest of secrets that began before them: in the line, or as a key of lines."""
        if self._redactor is None or not events.bodies:
            return events
        whole, newline, begun = chunk.before.rpartition(b"\n")
        line, bodies = begun.decode("utf-8", "replace"), events.bodies
        if self._redactor.has_keys and (_KEY in chunk.data or _KEY in chunk.before + chunk.data[: len(_KEY)]):
            open_keys: dict[str, int] = {}
            if whole:
                earlier = self._framing.events(whole + newline, 0)
                self._without_keys(earlier.bodies, earlier.streams, open_keys)
            bodies = self._without_keys([line + bodies[0], *bodies[1:]], events.streams, open_keys)
            bodies[0] = bodies[0].removeprefix(line)
        if line:
            bodies = [self._redactor.redact_rest(line, bodies[0]), *bodies[1:]]
        return events if bodies is events.bodies or bodies == events.bodies else replace(events, bodies=bodies)

    def _without_keys(self, bodies: list[str], streams: Sequence[str] | None, open_keys: dict[str, int]) -> list[str]:
        """Return the texts without the lines of keys."""
        if self._format == "json":
            return pem_keys.redact_json(bodies, open_keys)
        return pem_keys.redact(bodies, streams, open_keys)

    def _redacted(self, bodies: list[str]) -> list[str]:
        if self._redactor is None:
            return bodies
        return self._redactor.redact_json(bodies) if self._format == "json" else self._redactor.redact_texts(bodies)

    # -- parsing -------------------------------------------------------------------------------------------------------

    def _fields(self, events: Events, bodies: list[str], *, partial: bool) -> FieldColumns | None:
        if self._format == "cri":
            streams = events.streams or ()
            return [
                {"stream": stream, MESSAGE: body} if stream else unparsed("cri", body)
                for stream, body in zip(streams, bodies, strict=True)
            ]
        if self._parse is None:
            return None
        if partial:
            fields: FieldColumns = [*self._parse(bodies[:-1]), unparsed(self._format, bodies[-1])]
        else:
            fields = self._parse(bodies)
        return fields if self._redactor is None or self._format == "json" else self._redactor.redact_fields(fields)

    def _times(
        self, events: Events, fields: FieldColumns | None
    ) -> tuple[list[int | None] | None, FieldColumns | None]:
        """Return the events' times, and the fields without them."""
        parse, key = self._parse_times, self._time_key
        if events.times is not None:
            return parse(events.times), fields
        if fields is None or key is None:
            return None, fields
        return extract(fields, key, parse)

    def _levels(self, fields: FieldColumns | None) -> tuple[list[str | None] | None, FieldColumns | None]:
        """Return the events' levels, and the fields without them."""
        if fields is None or self._level_key is None:
            return None, fields
        return extract(fields, self._level_key, read_levels)


def _passthrough_or(parse: Parse | None, reserved: Iterable[str], keys: list[str]) -> Parse:
    """Return a parser that keeps JSON objects as they are if that is possible, and calls `parse` otherwise."""
    from sidecars.logshipper.transform import json_passthrough  # noqa: PLC0415 - msgspec takes 3 MB: loaded for JSON only

    read = json_passthrough.create_reader(reserved, keys)

    def read_or_parse(texts: Sequence[str]) -> FieldColumns:
        objects = read(texts)
        if objects is None and parse is not None:
            return parse(texts)
        return objects or []

    return read_or_parse


def _framing(settings: PipelineSettings) -> Framing:
    limit = settings.max_line_size
    splitter = create_splitter(settings.multiline, limit) if settings.format not in ("json", "logfmt") else None
    if settings.format == "cri":
        return CriFraming(splitter, limit)
    return MultilineFraming(splitter) if splitter else LineFraming()
