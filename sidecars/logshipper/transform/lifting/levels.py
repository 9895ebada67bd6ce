"""Reads the levels of events: of the field that `LEVEL_KEY` names, or with `auto` of the usual fields and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.field_columns import FieldColumns

if TYPE_CHECKING:
    from sidecars.logshipper.transform.parsing.field_paths import FieldPath

AUTO = "auto"
NONE = "none"

Levels = list[str | None] | None
"""The level of each event as the app wrote it; None if no event has one."""


class LevelReader:
    """Reads the levels of one input. Owned by its pipeline."""

    def __init__(self, level_key: str | None) -> None:
        self._is_auto = level_key == AUTO
        self.paths = _paths(level_key) if level_key and level_key != NONE else ()
        self.by_sinks = level_key is None  # True if sinks look for the levels that they have a place for

    def read(self, bodies: Sequence[str], fields: FieldColumns | None) -> tuple[Levels, FieldColumns | None]:
        """Return the events' levels, and the fields without them."""
        if not self.paths:
            return None, fields
        from sidecars.logshipper.transform.lifting import known_levels  # noqa: PLC0415 - loaded only where it is set
        from sidecars.logshipper.transform.parsing.field_extraction import extract, read_levels  # noqa: PLC0415 - loaded only where it is set

        if fields is None:
            return (list(map(known_levels.in_line, bodies)) if self._is_auto else None), fields
        return extract(fields, self.paths, _known if self._is_auto else read_levels)


def _paths(level_key: str) -> tuple[FieldPath, ...]:
    from sidecars.logshipper.transform.lifting import known_levels  # noqa: PLC0415 - loaded only where it is set
    from sidecars.logshipper.transform.parsing import field_paths  # noqa: PLC0415 - loaded only where it is set

    return field_paths.parse_list(",".join(known_levels.FIELDS) if level_key == AUTO else level_key)


def _known(values: list[Any]) -> list[str | None]:
    from sidecars.logshipper.transform.lifting import known_levels  # noqa: PLC0415 - loaded by now

    return [known_levels.word(value) or _number(value) for value in values]


def _number(value: Any) -> str | None:
    return str(value) if type(value) is int and severity.of(str(value)) is not severity.UNKNOWN else None
