"""Reads the times of events: those of a container's entries, and those of the field that `TIME_KEY` names."""

from __future__ import annotations

from sidecars.logshipper.model.field_columns import FieldColumns
from sidecars.logshipper.model.times import event_times, time_zones
from sidecars.logshipper.model.times.event_times import Reading
from sidecars.logshipper.model.times.timestamps import column_parser
from sidecars.logshipper.transform.framing.line_framing import Events
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_extraction import extract
from sidecars.logshipper.transform.parsing.field_paths import FieldPath
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings

Times = list[int | None] | None
"""Nanoseconds since 1970, one for each event; None if no event has a time."""


def _whole_instant(path: FieldPath) -> FieldPath:
    """Return the path of log4j2's `instant` for its `epochSecond`: its `nanoOfSecond` belongs to the time, too."""
    if path.is_nested and path.names[-1] == "epochSecond":
        return FieldPath(path.names[:-1], ".".join(path.names[:-1]))
    return path


class TimeReader:
    """Reads the times of one input. Owned by its pipeline.

    `needs_reading`: True if the times have no year or a zone that sets its clock back, see `event_times`.
    """

    def __init__(self, settings: PipelineSettings, local_zone: str | None) -> None:
        self.paths = tuple(map(_whole_instant, field_paths.parse_list(settings.time_key) if settings.time_key else ()))
        zone = settings.time_zone
        found = time_zones.find_local(local_zone) if zone == "local" else time_zones.find(zone) if zone else None
        self._parse = column_parser(settings.time_format or "auto", found)
        self._parse_entries = column_parser("rfc3339")
        self.needs_reading = bool(self.paths) and self._parse.needs_reading
        self.context = event_times.CONTEXT if self.needs_reading else 0  # bytes of `Chunk.before`

    def read(
        self, events: Events, fields: FieldColumns | None, reading: Reading | None
    ) -> tuple[Times, FieldColumns | None]:
        """Return the events' times, and the fields without them. The time of the app comes before the runtime's."""
        entries = events.times
        if fields is None or not self.paths:
            return None if entries is None else self._parse_entries(entries), fields
        own, fields = extract(fields, self.paths, lambda values: self._parse(values, reading))
        if entries is not None and None in own:
            times = self._parse_entries(entries)
            own = [entry if time is None else time for time, entry in zip(own, times, strict=True)]
        return own, fields

    def last(self, fields: FieldColumns, reference: int) -> int | None:
        """Return the time of the last event that has one; an ambiguous one is of the first pass."""
        times, _ = extract(fields, self.paths, lambda values: self._parse.first(values, reference))
        return next((time for time in reversed(times) if time is not None), None)
