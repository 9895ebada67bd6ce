"""Keeps some of the events of a chunk, in all their columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from sidecars.logshipper.model.field_columns import FieldColumns, JsonObjects, Table
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.transform.framing.line_framing import Events


def events(all_events: Events, wanted: Sequence[bool], dropped: Dropped, reason: str) -> Events:
    """Return the events for which `wanted` is true. Count the others in `dropped`."""
    if all(wanted):
        return all_events
    kept = all_events.select(wanted)
    dropped[reason] = (sum(all_events.sizes) - sum(kept.sizes), all_events.lines - kept.lines)
    return kept


def texts(all_texts: list[str], wanted: Sequence[bool]) -> list[str]:
    return all_texts if all(wanted) else list(compress(all_texts, wanted))


def fields(all_fields: FieldColumns | None, wanted: Sequence[bool]) -> FieldColumns | None:
    if all_fields is None or all(wanted):
        return all_fields
    if isinstance(all_fields, Table | JsonObjects):
        return all_fields.select(list(compress(range(len(all_fields)), wanted)))
    return list(compress(all_fields, wanted))
