"""Counts events in which something was not found that the settings ask for, and tells if it is never found.

| part | not found |
|---|---|
| `format` | the event is in another format than `FORMAT` |
| `time` | no field of `TIME_KEY` is a time in `TIME_FORMAT` |
| `level` | no field of `LEVEL_KEY` is a level |
| `message` | no field of `MESSAGE_KEY` is a text |
| `path` | the file's path is not as `PATH_FIELDS` says |

Each sink reads the files for itself, so the events are counted for each sink. The largest count is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecars.chassis.runtime import logs
from sidecars.logshipper.model.records import Records

log = logs.get("ship")

_ENOUGH = 1000  # events

_SETTINGS = {
    "format": "FORMAT",
    "time": "TIME_KEY and TIME_FORMAT",
    "level": "LEVEL_KEY",
    "message": "MESSAGE_KEY",
    "path": "PATH_FIELDS",
}


class UnparsedEvents:
    """The counts of all inputs. Owned by the app, filled by the shippers."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str, str], int] = {}  # (sink, input, part) -> events that were looked at
        self._misses: dict[tuple[str, str, str], int] = {}
        self._told: set[tuple[str, str]] = set()

    def count(self, sink: str, made: Iterable[Records]) -> None:
        """Count the events of the chunks of a batch."""
        for records in made:
            for part, misses in records.misses.items():
                key = (sink, records.chunk.input, part)
                events = self._events[key] = self._events.get(key, 0) + len(records.offsets)
                missed = self._misses[key] = self._misses.get(key, 0) + misses
                if missed == events >= _ENOUGH and key[1:] not in self._told:
                    self._told.add(key[1:])
                    log.warning(
                        "none of the first events has what a setting asks for",
                        code="nothing-parsed",
                        input=records.chunk.input,
                        setting=_SETTINGS[part],
                        part=part,
                        events=events,
                    )

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the events by (input, part) in which the part was not found."""
        most: dict[tuple[str, str], int] = {}
        for (_, name, part), misses in self._misses.items():
            most[name, part] = max(misses, most.get((name, part), 0))
        return most

    def sentences(self) -> list[str]:
        """Return a sentence for each input and part that was not found in some event."""
        return [
            f"input {name}: no {part} was found in {misses} event{'s' * (misses != 1)}"
            for (name, part), misses in sorted(self.counts().items())
            if misses
        ]
