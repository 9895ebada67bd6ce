"""The pipeline of one input: frames, filters, redacts and parses a chunk, and returns its records.

The order of the steps is a promise:

1. Framing: the bytes become events.
2. `COUNT`, `KEEP` and `DROP` see an event as the app wrote it, without the prefix of a container runtime.
3. `SAMPLE` chooses by the id of an event; with `SAMPLE_KEY` it chooses after step 5, by a field. So does `RATE_LIMIT`.
4. Redaction is next. No field, no dead letter and no sink ever has the text that it replaced.
5. Parsing reads the redacted text into fields, in one step or in two; the time and the level are taken out of them.
6. The fields of a container's entry are put before them, and the fields are edited.

The id of an event is made of its offset in the file, and no step changes it.

Modules that only some settings need are imported where they are used: see `pipeline_steps`.
"""

from __future__ import annotations

from bisect import bisect_left
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.field_columns import PARSE_ERROR, FieldColumns, unparsed
from sidecars.logshipper.model.ledger import HOLE, RATE_LIMITED, SAMPLED
from sidecars.logshipper.model.records import Dropped, Match, Records
from sidecars.logshipper.model.times.event_times import FileTimes, Reading
from sidecars.logshipper.transform import pipeline_steps
from sidecars.logshipper.transform.event_texts import EventTexts
from sidecars.logshipper.transform.framing import decoding
from sidecars.logshipper.transform.framing.line_framing import Events
from sidecars.logshipper.transform.lifting.levels import LevelReader, Levels
from sidecars.logshipper.transform.parsing import entry_fields
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings
from sidecars.logshipper.transform.reduction import selection

if TYPE_CHECKING:
    from sidecars.logshipper.transform.lifting.times import Times
    from sidecars.logshipper.transform.parsing.parsers import Parse
    from sidecars.logshipper.transform.reduction.rate_limits import Limit, Quota
    from sidecars.logshipper.transform.reduction.sampling import Sample

_RESERVED = ("id", "file", "partial")


class _Shaped(NamedTuple):
    """The events of a chunk up to their fields. `continued`: without the rest of secrets that began before."""

    events: Events
    continued: Events
    kept: Events
    bodies: list[str]
    fields: FieldColumns | None
    dropped: Dropped
    sample: Sample | None
    quota: Quota | None


class Pipeline(EventTexts):
    """Makes records of the chunks of one input. Owned by the app, shared by all shippers. Has no state.

    `pod`: labels of all records, from the downward API. `local_zone`: the zone that `TIME_ZONE=local` stands for.
    """

    def __init__(self, settings: PipelineSettings, pod: Mapping[str, str], local_zone: str | None = None) -> None:
        self.path_fields = path = pipeline_steps.create_path_fields(settings.path_fields)
        self._labels = {**(path.of_this_pod(pod) if path else pod), **(settings.labels or {})}
        super().__init__(settings)
        steps = self._steps
        self.counters = pipeline_steps.create_counters(settings)
        self._sampler = pipeline_steps.create_sampler(settings)
        self.rate_limit = pipeline_steps.create_rate_limit(settings)
        self._rate_paths = pipeline_steps.parse_paths(settings.rate_limit_key)
        self.has_rate_keys = bool(self._rate_paths)
        self._times = pipeline_steps.create_time_reader(settings, steps, local_zone)
        self._time_paths = self._times.paths if self._times else ()
        self.is_timed = self._times is not None and self._times.needs_reading  # `Chunk.times` completes the times
        contexts = (self._redactor.context if self._redactor else 0, self._times.context if self._times else 0)
        self.context = max(contexts)  # bytes of `Chunk.before`
        self._message_paths = pipeline_steps.parse_paths(settings.message_key)
        self._reads_at = settings.read_at
        self._levels = LevelReader(settings.level_key)
        with_time, with_level = settings.time_key or steps.container, self._levels.paths
        added = (*(("time",) if with_time else ()), *(("level", "severity") if with_level else ()))
        added = (*added, *(("read_at",) if settings.read_at else ()))
        added = (*added, *(("sample_rate",) if self._sampler else ()))
        self._reserved = frozenset((*_RESERVED, *self._labels, *(path.names if path else ()), *added))
        self._taken = self._reserved | entry_fields.NAMES if steps.container else self._reserved
        self._edits = pipeline_steps.create_edits(settings, self._reserved)
        self._parse = self._parser(settings.regex)

    def records(self, chunk: Chunk, at: int = 0, limit: Limit | None = None) -> Iterable[Records]:
        """Return the records of the chunk's events as `process` does; those of FORMAT=record in several parts."""
        made = self.process(chunk, at, limit)
        if not self._are_records:
            return (made,)
        from sidecars.logshipper.transform.parsing import own_records  # noqa: PLC0415 - loaded for this format only

        return own_records.split(made)

    def process(self, chunk: Chunk, at: int = 0, limit: Limit | None = None) -> Records:
        """Return the records of the chunk's events, without those that the settings exclude.

        `at`: when the chunk was collected, in nanoseconds since 1970. It is the same in each attempt. `limit`: the
        choice of a sink among the events of an input with a rate limit.
        """
        events, continued, kept, bodies, fields, dropped, sample, quota = self._shape(chunk, limit)
        untouched = bodies is events.bodies and not self._steps.container and chunk.encoding not in self._framings
        untouched = untouched and bool(bodies) and not (chunk.start == 0 and chunk.data.startswith(BOM_UTF8))
        partial = _ends_with_piece(chunk, events, kept)
        times, fields = self._with_times(chunk, kept, fields, at)
        levels, fields = self._levels.read(bodies, fields)
        fields, without_message = self._with_messages(fields)
        edited = self._edited(kept, bodies, fields)
        of_path, labels = self._labels_of(chunk)
        return Records(
            chunk,
            labels,
            bodies,
            kept.offsets,
            kept.sizes,
            kept.counts,
            times=times,
            levels=levels,
            fields=edited if sample is None else sample.add_rates(edited, bodies),
            partial=partial,
            sized=self._open_events(chunk, kept) if chunk.open else int(partial),
            dropped=dropped,
            raw=chunk.data if untouched else None,
            finds_levels=self._levels.by_sinks,
            read_at=at if self._reads_at else None,
            misses=self._misses(bodies, fields, times, levels, without_message=without_message, of_path=of_path)
            if bodies
            else {},
            matches=self._matches(events, continued) if self.counters else {},
            quota=quota,
            chosen=quota is not None,
        )

    def keyed_events(self, chunk: Chunk) -> tuple[Sequence[int], list[str], list[str]]:
        """Return the offsets, texts and keys of the events that a rate limit counts."""
        shaped = self._shape(chunk, None)
        return shaped.kept.offsets, shaped.bodies, self._keys(chunk, shaped.kept, shaped.fields)

    def _shape(self, chunk: Chunk, limit: Limit | None) -> _Shaped:
        """Return the events of the chunk, those that are kept, and their fields."""
        events = self._events(chunk)
        continued = self._continued(chunk, events)
        kept, dropped = self._filtered(events, continued)
        if not events.bodies and chunk.data:
            dropped = {HOLE: (chunk.size, chunk.lines)}
        sample, by_key = None, self._sampler is not None and bool(self._sampler.paths)
        if self._sampler is not None and not by_key:
            sample = self._sampler.sample(chunk, kept)
            kept = selection.events(kept, sample.wanted, dropped, SAMPLED)
        bodies = self._redacted(kept.bodies)
        fields = self._fields(bodies, partial=_ends_with_piece(chunk, events, kept))
        if self._sampler is not None and by_key:
            sample = self._sampler.sample(chunk, kept, fields)
            kept = selection.events(kept, sample.wanted, dropped, SAMPLED)
            bodies, fields = selection.texts(bodies, sample.wanted), selection.fields(fields, sample.wanted)
        quota = None
        if limit is not None and self.rate_limit:
            wanted, quota = limit(chunk, bodies, self._keys(chunk, kept, fields))
            kept = selection.events(kept, wanted, dropped, RATE_LIMITED)
            bodies, fields = selection.texts(bodies, wanted), selection.fields(fields, wanted)
            sample = sample and sample.select(wanted)
        return _Shaped(events, continued, kept, bodies, fields, dropped, sample, quota)

    def _keys(self, chunk: Chunk, kept: Events, fields: FieldColumns | None) -> list[str]:
        from sidecars.logshipper.transform.reduction import rate_limits  # noqa: PLC0415 - see above

        _, labels = self._labels_of(chunk)
        return rate_limits.event_keys(self._rate_paths, chunk, labels, kept.streams, fields, len(kept.bodies))

    def _labels_of(self, chunk: Chunk) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the fields of the file's path, and all labels of the chunk's records."""
        of_path = self.path_fields.of(chunk.first_path) if self.path_fields else {}
        return of_path, {**self._labels, **of_path} if of_path else self._labels

    def _open_events(self, chunk: Chunk, kept: Events) -> int:
        """Return how many of the last events may be longer when more of the file is there."""
        boundary = self._framing_of(chunk).boundary
        first = chunk.start + (boundary(chunk.data) if boundary else 0)
        return len(kept.offsets) - bisect_left(kept.offsets, first)

    def _matches(self, events: Events, continued: Events) -> dict[Match, int]:
        """Return the counts of COUNT. They are of all events, and their labels are from redacted texts."""

        def clean(indices: Sequence[int]) -> list[str]:
            return self._redacted([continued.bodies[index] for index in indices])

        return self.counters.count(events.bodies, clean) if self.counters else {}

    # -- parsing -------------------------------------------------------------------------------------------------------

    def _parser(self, regex: str | None) -> Parse | None:
        """Return the parser of the text of an event; None if the text is the message."""
        steps = self._steps.parsers
        if not steps:
            return None
        from sidecars.logshipper.transform.parsing import field_paths, parsers, two_steps  # noqa: PLC0415 - see above

        if steps == ("json",):
            counted = (*(self._sampler.paths if self._sampler else ()), *self._rate_paths)
            asked = (*self._time_paths, *self._levels.paths, *self._message_paths, *counted)
            refused = self._taken.union(self._edits.added_names if self._edits else ())
            roots = field_paths.roots(asked)
            return pipeline_steps.passthrough_or(parsers.parse_json, refused, roots, renames=self._edits is None)
        first, *second = [self._redacting(form, parsers.create_parser(form, regex)) for form in steps]
        return two_steps.in_two_steps(first, second[0], self._cleaner(steps[1])) if second else first

    def _redacting(self, form: str, parse: Parse) -> Parse:
        """Return a parser whose fields are redacted: those of JSON are, because its text is."""
        redactor = self._redactor
        return parse if redactor is None or form == "json" else lambda texts: redactor.redact_fields(parse(texts))

    def _cleaner(self, form: str) -> Callable[[list[str]], list[str]]:
        """Return the redaction of the messages that a second step reads: the first one has redacted them as texts."""
        return self._redactor.redact_json if self._redactor and form == "json" else lambda messages: messages

    def _fields(self, bodies: list[str], *, partial: bool) -> FieldColumns | None:
        if self._parse is None:
            return None
        if partial:
            return [*self._parse(bodies[:-1]), unparsed(self._steps.body, bodies[-1])]
        return self._parse(bodies)

    def _edited(self, events: Events, bodies: list[str], fields: FieldColumns | None) -> FieldColumns | None:
        """Return the fields with those of the entries of a container, edited, and none with a reserved name.

        An edit finds a field under the name that the app gave it.
        """
        if fields is None and self._edits is None and not self._steps.container:
            return None
        from sidecars.logshipper.transform.parsing.field_extraction import rename_reserved  # noqa: PLC0415 - see above

        if self._edits is None:
            return self._with_entry_fields(events, bodies, rename_reserved(fields, self._taken))
        inner = rename_reserved(fields, entry_fields.NAMES) if self._steps.container else fields
        edited = self._edits.apply(self._with_entry_fields(events, bodies, inner), bodies)
        return rename_reserved(edited, self._reserved)

    def _with_entry_fields(self, events: Events, bodies: list[str], fields: FieldColumns | None) -> FieldColumns | None:
        """Return the fields with those of the entries of a container."""
        if not self._steps.container:
            return fields
        streams = events.streams or ()
        attributes = self._redacted_attributes(events.attributes)
        found = entry_fields.with_entry_fields(self._steps.container, streams, attributes, bodies, fields)
        if self._reserved.isdisjoint(entry_fields.NAMES):
            return found
        from sidecars.logshipper.transform.parsing.field_extraction import rename_reserved  # noqa: PLC0415 - see above

        return rename_reserved(list(found), self._reserved)

    def _with_times(
        self, chunk: Chunk, kept: Events, fields: FieldColumns | None, at: int
    ) -> tuple[Times, FieldColumns | None]:
        """Return the times of the events, and the fields without them."""
        if self._times is None:
            return None, fields
        return self._times.read(kept, fields, self._reading(chunk, kept, at) if self.is_timed else None)

    def _reading(self, chunk: Chunk, kept: Events, at: int) -> Reading:
        """Return the rules that complete times without a year, or of an hour that comes twice."""
        file = chunk.times or FileTimes()
        reference = file.reference(chunk.end, at)
        before = lambda: self._time_before(chunk, reference)  # noqa: E731 - it is called for an hour of a year
        return Reading(reference, kept.offsets, file, before, at_beginning=chunk.start == 0)

    def _time_before(self, chunk: Chunk, reference: int) -> int | None:
        """Return the time of the last event before the chunk, as far as `Chunk.before` has it."""
        whole, _ = decoding.split_last_line(chunk.before, chunk.encoding)
        if len(chunk.before) < chunk.start:
            whole = decoding.without_first_line(whole, chunk.encoding)  # it is torn
        fields = self._fields(self._framing_of(chunk).events(whole, 0).bodies, partial=False) if whole else None
        return self._times.last(fields, reference) if fields and self._times else None

    def _with_messages(self, fields: FieldColumns | None) -> tuple[FieldColumns | None, int]:
        """Return the fields with the message that `MESSAGE_KEY` names, and the number of events that have none."""
        if fields is None or not self._message_paths:
            return fields, 0
        from sidecars.logshipper.transform.lifting.messages import with_message  # noqa: PLC0415 - see above

        return with_message(fields, self._message_paths)

    def _misses(
        self,
        bodies: list[str],
        fields: FieldColumns | None,
        times: Times,
        levels: Levels,
        *,
        without_message: int,
        of_path: Mapping[str, str],
    ) -> dict[str, int]:
        """Return for each part that the settings ask for the number of events in which it was not found."""
        misses = {}
        if fields is not None and self._parse is not None:
            misses["format"] = sum(PARSE_ERROR in one for one in fields) if type(fields) is list else 0
        if times is not None and self._time_paths:
            misses["time"] = times.count(None)
        if levels is not None:
            misses["level"] = levels.count(None)
        if self._message_paths:
            misses["message"] = without_message
        if self.path_fields is not None:
            misses["path"] = 0 if of_path else len(bodies)
        return misses


def _ends_with_piece(chunk: Chunk, events: Events, kept: Events) -> bool:
    """Return True if the chunk ends with a piece of a line, and that was kept."""
    return chunk.partial and bool(kept.bodies) and kept.offsets[-1] == events.offsets[-1]
