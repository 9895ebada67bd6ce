"""Takes one field out of the fields of all events, and renames fields with reserved names.

The time and the level of an event are such fields: they become columns of the records. A value that cannot be read
stays in its field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields, JsonObjects, Table

T = TypeVar("T")

_LONGEST_LEVEL = 64  # characters


def extract(
    fields: FieldColumns, key: str, read: Callable[[list[Any]], list[T | None]]
) -> tuple[list[T | None], FieldColumns]:
    """Return the values of the field `key`, and the fields without it.

    `read` converts the values of all events. Where it returns None, the event keeps the field.
    """
    if isinstance(fields, Table):
        values = read(fields.column(key))
        if None not in values and len(fields.names) > 1:
            return values, fields.without(key)
        fields = list(fields)
    if isinstance(fields, JsonObjects):
        values = read(fields.members[key])
        try:
            return values, fields.without(key, values)
        except ValueError:  # some text has no dict
            fields = list(fields)
    values = read([one.get(key) for one in fields])
    return values, _without(fields, key, values)


def read_levels(values: list[Any]) -> list[str | None]:
    """Return the levels as text; None for a value that cannot be one: no word or integer, or too long."""
    if set(map(type, values)) == {str} and max(map(len, values)) <= _LONGEST_LEVEL:
        return values
    return list(map(_level, values))


def rename_reserved(fields: FieldColumns | None, reserved: frozenset[str]) -> FieldColumns | None:
    """Return the fields; one with a reserved name gets an underscore after its name, or as many as make it unique."""
    if isinstance(fields, Table):
        names = dict.fromkeys(fields.names)
        return fields if reserved.isdisjoint(names) else Table(tuple(_renamed(names, reserved)), fields.rows)
    if isinstance(fields, JsonObjects):
        return fields  # `json_passthrough` accepts no object with a reserved name
    if fields is None or all(map(reserved.isdisjoint, fields)):
        return fields
    return [one if reserved.isdisjoint(one) else _renamed(one, reserved) for one in fields]


def _level(value: Any) -> str | None:
    if type(value) is str:
        return value if len(value) <= _LONGEST_LEVEL else None
    return str(value) if type(value) is int else None


def _renamed(fields: Mapping[str, Any], reserved: frozenset[str]) -> Fields:
    taken = reserved | fields.keys()
    renamed: Fields = {}
    for name, value in fields.items():
        free = name
        if name in reserved:
            while free in taken or free in renamed:
                free += "_"
        renamed[free] = value
    return renamed


def _without(fields: list[Fields], key: str, values: Sequence[Any]) -> list[Fields]:
    """Remove a field from each event that has a value. An event without any other field gets an empty message."""
    for one, value in zip(fields, values, strict=True):
        if value is not None:
            del one[key]
            if not one:
                one[MESSAGE] = ""
    return fields
