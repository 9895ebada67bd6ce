"""From a part to its records: framed, filtered, redacted, parsed, each step over all events of the part at once.

The order matters. `KEEP` and `DROP` see an event as the app wrote it (without what a container runtime put before it).
Then it is redacted, before anything else looks at it: no field, no dead letter and no sink ever has what was taken out.
Ids are made of offsets in the file, and do not change by any of this.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecars.logshipper import formats, redact, timestamps
from sidecars.logshipper.cri import Cri
from sidecars.logshipper.formats import MESSAGE, Fields
from sidecars.logshipper.framing import EachLine, Events, Framing, ManyLines
from sidecars.logshipper.ledger import FILTERED
from sidecars.logshipper.linear import Finder
from sidecars.logshipper.multiline import splitter
from sidecars.logshipper.part import Part
from sidecars.logshipper.records import Dropped, Records
from sidecars.logshipper.settings import Input

_OURS = ("id", "file", "partial")


class Shaper:
    """Turns the parts of one input into records."""

    def __init__(self, settings: Input, pod: Mapping[str, str]) -> None:
        self._labels = {**pod, **(settings.labels or {})}
        self._framing = _framing(settings)
        self.boundary = self._framing.boundary  # for whoever cuts the parts
        self._keep = Finder(settings.keep) if settings.keep else None
        self._drop = Finder(settings.drop) if settings.drop else None
        self._redactor = redact.Redactor(settings.redact) if settings.redact else None
        self._form = settings.format
        self._parse = formats.parser(settings.format, settings.regex)
        self._time_key, self._level_key = settings.time_key, settings.level_key
        self._time = timestamps.parser(settings.time_format or "rfc3339")
        with_time, with_level = settings.time_key or settings.format == "cri", settings.level_key
        added = (*(("time",) if with_time else ()), *(("level", "severity") if with_level else ()))
        self._reserved = frozenset((*_OURS, *self._labels, *added))

    def records(self, part: Part) -> Records:
        events = self._framing.events(part.data, part.start)
        kept, dropped = self._filtered(events)
        bodies = self._redacted(kept.bodies)
        untouched = bodies is events.bodies and self._form != "cri"
        fields = self._fields(kept, bodies, partial=part.partial)
        times, levels = self._times(kept, fields), self._levels(fields)
        self._rename(fields)
        return Records(
            part,
            self._labels,
            bodies,
            kept.offsets,
            kept.sizes,
            kept.counts,
            times=times,
            levels=levels,
            fields=fields,
            partial=part.partial and bool(bodies),
            dropped=dropped,
            raw=part.data if untouched else None,
        )

    # -- what is shipped -----------------------------------------------------------------------------------------------

    def _filtered(self, events: Events) -> tuple[Events, Dropped]:
        if self._keep is None and self._drop is None:
            return events, {}
        wanted = [self._keep is None] * len(events.bodies)
        for index in self._keep.found(events.bodies) if self._keep else ():
            wanted[index] = True
        for index in self._drop.found(events.bodies) if self._drop else ():
            wanted[index] = False
        if all(wanted):
            return events, {}
        kept = events.only(wanted)
        size, count = sum(events.sizes) - sum(kept.sizes), events.lines - kept.lines
        return kept, {FILTERED: (size, count)}

    def _redacted(self, bodies: list[str]) -> list[str]:
        if self._redactor is None:
            return bodies
        return self._redactor.documents(bodies) if self._form == "json" else self._redactor.texts(bodies)

    # -- what is in it -------------------------------------------------------------------------------------------------

    def _fields(self, events: Events, bodies: list[str], *, partial: bool) -> list[Fields] | None:
        if self._form == "cri":
            streams = events.streams or ()
            return [
                {"stream": stream, MESSAGE: body} if stream else formats.unparsed("cri", body)
                for stream, body in zip(streams, bodies, strict=True)
            ]
        if self._parse is None:
            return None
        whole = len(bodies) - partial
        fields = [*self._parse(bodies[:whole]), *(formats.unparsed(self._form, body) for body in bodies[whole:])]
        return fields if self._redactor is None or self._form == "json" else self._redactor.values(fields)

    def _times(self, events: Events, fields: list[Fields] | None) -> list[int | None] | None:
        if events.times is not None:
            return list(map(self._time, events.times))
        key = self._time_key
        if fields is None or key is None:
            return None
        times = [self._time(found.get(key)) for found in fields]
        for found, time in zip(fields, times, strict=True):
            if time is not None:
                _take(found, key)
        return times

    def _levels(self, fields: list[Fields] | None) -> list[str | None] | None:
        key = self._level_key
        if fields is None or key is None:
            return None
        levels: list[str | None] = []
        for found in fields:
            level = found.get(key)
            if type(level) is str or type(level) is int:
                _take(found, key)
                levels.append(str(level))
            else:
                levels.append(None)
        return levels

    def _rename(self, fields: list[Fields] | None) -> None:
        """Fields that are called as something of ours get an underscore behind their name."""
        reserved = self._reserved
        if fields is None or all(map(reserved.isdisjoint, fields)):
            return
        for index, found in enumerate(fields):
            if not reserved.isdisjoint(found):
                fields[index] = renamed(found, reserved)


def renamed(fields: Fields, reserved: frozenset[str]) -> Fields:
    taken = reserved | fields.keys()
    clear: Fields = {}
    for name, value in fields.items():
        free = name
        if name in reserved:
            while free in taken or free in clear:
                free += "_"
        clear[free] = value
    return clear


def _take(fields: Fields, key: str) -> None:
    """Take a field out; without it, the event's message is empty rather than its fields."""
    del fields[key]
    if not fields:
        fields[MESSAGE] = ""


def _framing(settings: Input) -> Framing:
    lines = splitter(settings.multiline, settings.max_line_size) if settings.format not in ("json", "logfmt") else None
    if settings.format == "cri":
        return Cri(lines, settings.max_line_size)
    return ManyLines(lines) if lines else EachLine()
