"""Puts the fields of a container's entries before the fields of their text: `stream`, and `attrs` of Docker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields, JsonObjects, Table, unparsed

STREAM, ATTRIBUTES = "stream", "attrs"
NAMES = frozenset({STREAM, ATTRIBUTES})

_BEGINS = {stream: f'{{"{STREAM}":"{stream}",' for stream in ("stdout", "stderr")}


def with_entry_fields(
    form: str,
    streams: Sequence[str],
    attributes: Sequence[Mapping[str, Any] | None] | None,
    bodies: Sequence[str],
    fields: FieldColumns | None,
) -> FieldColumns:
    """Return the fields of events with those of their entries.

    `fields`: None if the text is the message. A line without a stream is none of the format `form`: it stays a text.
    """
    if attributes is None and all(streams):
        if fields is None:
            return Table((STREAM, MESSAGE), list(zip(streams, bodies, strict=True)))
        if isinstance(fields, Table):
            rows = [(stream, *row) for stream, row in zip(streams, fields.rows, strict=True)]
            return Table((STREAM, *fields.names), rows)
        if isinstance(fields, JsonObjects):
            return fields.with_first_member(list(map(_BEGINS.__getitem__, streams)))
    found: Sequence[Fields] = [{MESSAGE: body} for body in bodies] if fields is None else list(fields)
    return [
        {STREAM: stream, **({ATTRIBUTES: attrs} if attrs else {}), **one} if stream else unparsed(form, body)
        for stream, attrs, body, one in zip(streams, attributes or [None] * len(bodies), bodies, found, strict=True)
    ]
