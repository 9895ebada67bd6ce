r"""Field paths: names of fields in settings, also of fields inside of others, and lists of candidates.

`log.level` is a field of that very name (ECS loggers write it flat), or else the field `level` in the object `log`. A
dot behind a backslash is a part of a name: `kubernetes.labels.app\.kubernetes\.io/name`. `TIME_KEY=time,ts,t.$date`
lists candidates: the first one that an event has counts.

| path | finds the 1 in |
|---|---|
| `a.b` | `{"a.b":1}`, `{"a":{"b":1}}` |
| `a\.b` | `{"a.b":1}` |
| `a.b.c` | `{"a.b.c":1}`, `{"a.b":{"c":1}}`, `{"a":{"b.c":1}}`, `{"a":{"b":{"c":1}}}`, the first of them |

A field whose value is null counts as missing, except for `find` and `remove`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sidecars.logshipper.model.field_columns import EMPTY_OBJECT, MESSAGE, FieldColumns, Fields, JsonObjects, Table

MISSING: Any = object()
"""Returned for a field that is not there, where null is a value."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The path of one field. `names` are its parts, `literal` is the whole as one name."""

    names: tuple[str, ...]
    literal: str

    @property
    def is_nested(self) -> bool:
        return len(self.names) > 1

    def roots(self) -> list[str]:
        """Return the names of all top-level fields in which the field may be found, the likeliest last."""
        return [".".join(self.names[:count]) for count in range(len(self.names), 0, -1)]

    def find(self, fields: Mapping[str, Any]) -> tuple[Any, str] | None:
        """Return the object that has the field, and the field's name in it; None if it is not there."""
        if self.literal in fields:
            return fields, self.literal
        return _find(fields, self.names) if self.is_nested else None

    def get(self, fields: Mapping[str, Any], default: Any = None) -> Any:
        """Return the value of the field; `default` if it is not there."""
        found = self.find(fields)
        return default if found is None else found[0][found[1]]

    def remove(self, fields: Fields) -> Any:
        """Remove the field, and the objects that are empty without it. Return its value, or MISSING."""
        return _remove(fields, self.names)


def parse(text: str) -> FieldPath:
    """Return the path that a text names. Raises ValueError for an empty name, and for a wrong backslash."""
    names = [""]
    for piece in _TOKENS.findall(text):
        if piece == ".":
            names.append("")
        elif piece.startswith("\\"):
            if piece[1:] not in _ESCAPED:
                raise ValueError(f"{text}: a backslash comes before a dot, a comma or a backslash")
            names[-1] += piece[1:]
        else:
            names[-1] += piece
    if not all(names):
        raise ValueError(f"{text or '(nothing)'}: the name of a field is empty")
    return FieldPath(tuple(names), ".".join(names))


def parse_list(text: str) -> tuple[FieldPath, ...]:
    """Return the candidates of a list with commas. Raises ValueError as `parse` does."""
    texts = [""]
    for piece in _TOKENS.findall(text):
        if piece == ",":
            texts.append("")
        else:
            texts[-1] += piece
    return tuple(parse(one.strip(" ")) for one in texts)


_ESCAPED = (".", ",", "\\")
_TOKENS = re.compile(r"\\.?|[.,]|[^\\.,]+", re.DOTALL)


def _find(fields: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, str] | None:
    """Return the place of a field that is not a field of `fields` under its whole name."""
    for count in range(len(names) - 1, 0, -1):
        inner = fields.get(".".join(names[:count]))
        if type(inner) is dict:
            rest = ".".join(names[count:])
            found = (inner, rest) if rest in inner else _find(inner, names[count:])
            if found is not None:
                return found
    return None


def _remove(fields: Fields, names: Sequence[str]) -> Any:
    whole = ".".join(names)
    if whole in fields:
        return fields.pop(whole)
    for count in range(len(names) - 1, 0, -1):
        name = ".".join(names[:count])
        inner = fields.get(name)
        value = _remove(inner, names[count:]) if type(inner) is dict else MISSING
        if value is not MISSING:
            if not inner:
                del fields[name]
            return value
    return MISSING


# -- columns -------------------------------------------------------------------------------------------------------


def roots(paths: Iterable[FieldPath]) -> list[str]:
    """Return the names of the top-level fields in which the fields of these paths may be found, each once."""
    return list(dict.fromkeys(name for path in paths for name in path.roots()))


def column(fields: FieldColumns, path: FieldPath) -> list[Any] | None:
    """Return the values of a field, one for each event, None where it is missing; None if no event can have it.

    JSON objects have only the members that their reader was asked for: the path's `roots`.
    """
    if isinstance(fields, Table):
        return fields.column(path.literal) if path.literal in fields.names else None
    if isinstance(fields, JsonObjects):
        return _member(fields.members, path)
    if not path.is_nested:
        name = path.literal
        return [one.get(name) for one in fields]
    return [path.get(one) for one in fields]


def _member(members: Mapping[str, list[Any]], path: FieldPath) -> list[Any] | None:
    values = members.get(path.literal)
    if not path.is_nested or (values is not None and None not in values):
        return values
    for size in range(len(path.names) - 1, 0, -1):
        outer = members.get(".".join(path.names[:size]))
        if outer is not None:
            rest = FieldPath(path.names[size:], ".".join(path.names[size:]))
            inner = [rest.get(one) if type(one) is dict else None for one in outer]
            values = inner if values is None else [_first(*pair) for pair in zip(values, inner, strict=True)]
    return values


def _first(one: Any, other: Any) -> Any:
    return other if one is None else one


def without(fields: FieldColumns, path: FieldPath, wanted: Sequence[Any]) -> FieldColumns:
    """Return the fields without a field that `column` has found. An event whose item of `wanted` is None keeps it.

    An event that has no other field gets an empty message. Raises ValueError where a text of JSON has no dict.
    """
    if isinstance(fields, Table):
        if None not in wanted and len(fields.names) > 1:
            return fields.without(path.literal)
        fields = list(fields)
    if isinstance(fields, JsonObjects):
        return _objects_without(fields, path, wanted)
    for one, want in zip(fields, wanted, strict=True):
        if want is not None:
            path.remove(one)
            if not one:
                one[MESSAGE] = ""
    return fields


def _objects_without(fields: JsonObjects, path: FieldPath, wanted: Sequence[Any]) -> JsonObjects:
    at_top = fields.members.get(path.literal)
    if not path.is_nested or (at_top is not None and None not in at_top):
        return fields.without(path.literal, wanted)
    begin = "".join("{" + orjson.dumps(name).decode() + ":" for name in path.names)
    end = "}" * (len(path.names) - 1) + ","
    texts = []
    for text, value, want in zip(fields.texts, _member(fields.members, path) or (), wanted, strict=True):
        if want is None:
            texts.append(text)
        elif type(value) is str and text.startswith(first := f'{begin}"{value}"{end}'):
            texts.append("{" + text[len(first) :])  # the first member holds the field, and nothing else
        else:
            found = orjson.loads(text)
            path.remove(found)
            texts.append(orjson.dumps(found).decode() if found else EMPTY_OBJECT)
    return JsonObjects(texts, fields.members)
