"""Takes one field out of the fields of all events, and renames fields with reserved names.

The time and the level of an event are such fields: they become columns of the records. A value that cannot be read
stays in its field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sidecars.logshipper.model.field_columns import FieldColumns, Fields, JsonObjects, Table
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import FieldPath

T = TypeVar("T")

_LONGEST_LEVEL = 64  # characters
_INTEGERS = range(-(2**63), 2**64)  # those of a dict: orjson reads a larger number as a float


def extract(
    fields: FieldColumns, candidates: Sequence[FieldPath], read: Callable[[list[Any]], list[T | None]]
) -> tuple[list[T | None], FieldColumns]:
    """Return the values of a field, and the fields without it. Of the candidates, the first that can be read counts.

    `read` converts the values of all events. An event in which it returns None for each candidate keeps its fields.
    """
    found: list[T | None] | None = None
    for path in candidates:
        if (column := field_paths.column(fields, path)) is None:
            continue
        values = _missing_in(found, read(column))
        try:
            fields = field_paths.without(fields, path, values)
        except ValueError:  # some text has no dict
            fields = list(fields)
            values = _missing_in(found, read(field_paths.column(fields, path) or []))
            fields = field_paths.without(fields, path, values)
        found = values if found is None else [_first(*pair) for pair in zip(found, values, strict=True)]
        if None not in found:
            break
    return [None] * len(fields) if found is None else found, fields


def _missing_in(found: list[T | None] | None, values: list[T | None]) -> list[T | None]:
    """Return the values of those events of which nothing was found."""
    if found is None:
        return values
    return [value if known is None else None for known, value in zip(found, values, strict=True)]


def _first(one: T | None, other: T | None) -> T | None:
    return other if one is None else one


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
        # `json_passthrough` accepts no other object with a reserved name
        asked = [values for name, values in fields.members.items() if name in reserved]
        if all(value is None for values in asked for value in values):
            return fields
        fields = list(fields)
    if fields is None or all(map(reserved.isdisjoint, fields)):
        return fields
    return [one if reserved.isdisjoint(one) else _renamed(one, reserved) for one in fields]


def _level(value: Any) -> str | None:
    if type(value) is str:
        return value if len(value) <= _LONGEST_LEVEL else None
    return str(value) if type(value) is int and value in _INTEGERS else None


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
