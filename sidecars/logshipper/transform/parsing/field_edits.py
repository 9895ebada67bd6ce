"""Edits of fields, in this order: RENAME, COPY, REMOVE, ADD, FLATTEN.

An edit is soft: a field that is missing is no error, and a field never overwrites another one. A field that gets a name
which is taken (by a field, a label, `time`, `level` and so on) gets an underscore after it. A field that gets a name
comes last.

Of a `Table` only the columns change, and texts of JSON stay texts where no edit applies to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import orjson

from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields, JsonObjects, Table
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import MISSING, FieldPath
from sidecars.logshipper.transform.pipeline_settings import EditSettings

Move = tuple[FieldPath, FieldPath]

OURS = ("id", "file", "partial")
"""Members of a record that no edit may have as a field."""
_LONGER = 256 * 1024  # characters by which FLATTEN may lengthen the names of an event: an object beyond that stays one
_MOST_NAMES = 64  # of a path: its objects are nested
_PIECES = re.compile(r"\\.|,|[^\\,]+", re.DOTALL)


# -- settings ------------------------------------------------------------------------------------------------------


def parse_moves(text: str, *, once: bool = False) -> list[Move]:
    """Return the fields of RENAME or COPY, and their new names. Raises ValueError.

    `once`: a field that is there twice is an error. RENAME moves it away the first time.
    """
    moves: list[Move] = []
    for item in _items(text):
        source, colon, target = item.partition(":")
        if not colon:
            raise ValueError("expected field:name pairs separated by commas")
        move = (_path(source), _path(target))
        if move[0].literal == move[1].literal:
            raise ValueError(f"{item} changes nothing: expected another name behind the colon")
        if move in moves or (once and move[0] in [earlier for earlier, _ in moves]):
            raise ValueError(f"{item}: expected each field once")
        moves.append(move)
    return moves


def parse_removed(text: str) -> list[FieldPath]:
    """Return the fields of REMOVE; the last name of a path may end with `*`. Raises ValueError."""
    paths = [_path(item) for item in _items(text)]
    for path in paths:
        if path.literal == "*" or "*" in path.literal[:-1]:
            raise ValueError(f"{path.literal}: a * may stand at the end of a name only, as in debug.* and tmp_*")
    return paths


def parse_added(text: str) -> list[tuple[FieldPath, str]]:
    """Return the fields of ADD, and their values. Raises ValueError."""
    added: list[tuple[FieldPath, str]] = []
    for item in _items(text):
        name, equals, value = item.partition("=")
        if not equals or not value.strip():
            raise ValueError("expected name=value pairs separated by commas")
        path = _path(name)
        if any(path.literal == earlier.literal for earlier, _ in added):
            raise ValueError(f"{path.literal}: expected each name once")
        added.append((path, value.strip().replace("\\,", ",")))
    return added


def _items(text: str) -> list[str]:
    items = [""]
    for piece in _PIECES.findall(text):
        if piece == ",":
            items.append("")
        else:
            items[-1] += piece
    return [item.strip() for item in items]


def _path(text: str) -> FieldPath:
    path = field_paths.parse(text.strip())
    if path.names[0] in OURS:
        raise ValueError(f"{path.names[0]} is a member of the record that no edit can change")
    if len(path.names) > _MOST_NAMES:
        raise ValueError(f"expected a path of up to {_MOST_NAMES} names, not of {len(path.names)}")
    return path


# -- the edits -----------------------------------------------------------------------------------------------------


class FieldEdits:
    """The edits of one input. Owned by its pipeline. `reserved`: names of the record's other members."""

    def __init__(self, settings: EditSettings, reserved: frozenset[str]) -> None:
        self._flatten = settings.flatten
        self._reserved = reserved
        self._renamed = parse_moves(settings.rename) if settings.rename else []
        self._copied = parse_moves(settings.copy) if settings.copy else []
        self._removed = parse_removed(settings.remove) if settings.remove else []
        self._added = parse_added(settings.add) if settings.add else []
        self._edits: list[Callable[[Fields], object]] = [
            *(partial(self._rename, source, target) for source, target in self._renamed),
            *(partial(self._copy, source, target) for source, target in self._copied),
            *(_remover(path) for path in self._removed),
            *(partial(self._add, target, value) for target, value in self._added),
        ]
        moves = [*self._renamed, *self._copied]
        sources = [*(source for source, _ in moves), *self._removed]
        self._roots = [orjson.dumps(root.rstrip("*")).decode()[:-1] for root in field_paths.roots(sources)]
        targets = [*(target for _, target in moves), *(target for target, _ in self._added)]
        self._is_flat = self._flatten or not any(target.is_nested for target in targets)
        self.added_names = [target.literal for target, _ in self._added]

    def __bool__(self) -> bool:
        return bool(self._edits) or self._flatten

    def apply(self, fields: FieldColumns | None, bodies: Sequence[str]) -> FieldColumns:
        """Return the edited fields. `fields`: None if the text of each event is its message."""
        if fields is None:
            fields = Table((MESSAGE,), [(body,) for body in bodies])
        if isinstance(fields, Table) and self._is_flat:
            return self._edited_table(fields)
        if isinstance(fields, JsonObjects) and self._is_untouched(fields):
            return self._added_to_texts(fields)
        return [self._edited(one) for one in fields]

    # -- dicts -----------------------------------------------------------------------------------------------------

    def _edited(self, fields: Fields) -> Fields:
        for edit in self._edits:
            edit(fields)
        if self._flatten and any(type(value) is dict for value in fields.values()):
            fields = _flattened(fields)
        return fields or {MESSAGE: ""}

    def _rename(self, source: FieldPath, target: FieldPath, fields: Fields) -> None:
        value = source.remove(fields)
        if value is not MISSING:
            self._add(target, value, fields)

    def _copy(self, source: FieldPath, target: FieldPath, fields: Fields) -> None:
        value = source.get(fields, MISSING)
        if value is not MISSING:
            self._add(target, deepcopy(value) if type(value) in (dict, list) else value, fields)

    def _add(self, target: FieldPath, value: Any, fields: Fields) -> None:
        """Put a value under a free name. The objects of a path are made.

        The whole path is one name if it leads to another value, or if the value would be nested too deeply in it.
        """
        names, place = list(target.names), fields
        if self._flatten or names[0] in self._reserved or not _is_writable(value, len(names)):
            names = [target.literal]
        for name in names[:-1]:
            inner = place.setdefault(name, {})
            if type(inner) is not dict:
                place, names = fields, [target.literal]
                break
            place = inner
        name = names[-1]
        while name in place or (place is fields and name in self._reserved):
            name += "_"
        place[name] = value

    # -- columns ---------------------------------------------------------------------------------------------------

    def _edited_table(self, table: Table) -> Table:
        """Return the table with other columns. Its names are flat, so a path is the name of a column."""
        columns: dict[str, int | str] = {name: at for at, name in enumerate(table.names)}  # a place, or a value
        for source, target in self._renamed:
            if source.literal in columns:
                at = columns.pop(source.literal)
                columns[self._free(target.literal, columns)] = at
        for source, target in self._copied:
            if source.literal in columns:
                columns[self._free(target.literal, columns)] = columns[source.literal]
        for path in self._removed:
            star = path.literal.endswith("*")
            for name in [name for name in columns if _is_removed(name, path.literal, star=star)]:
                del columns[name]
        for target, value in self._added:
            columns[self._free(target.literal, columns)] = value
        if not columns:
            columns[MESSAGE] = ""
        picked = list(columns.values())
        if picked == list(range(len(table.names))):
            return Table(tuple(columns), table.rows)
        rows = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.names)
        count = len(table.rows)
        chosen = [rows[one] if type(one) is int else [one] * count for one in picked]
        return Table(tuple(columns), list(zip(*chosen, strict=True)))

    def _free(self, name: str, taken: Iterable[str]) -> str:
        while name in taken or name in self._reserved:
            name += "_"
        return name

    def _is_untouched(self, objects: JsonObjects) -> bool:
        """True if no text can have a field that is edited, and each ADD is a new member."""
        whole = "\n".join(objects.texts)
        if "\\" in whole or any(root in whole for root in self._roots) or not self._is_flat:
            return False
        if self._flatten and whole.count("{") > len(objects.texts):
            return False
        return not any(name in self._reserved or name in objects.members for name in self.added_names)

    def _added_to_texts(self, objects: JsonObjects) -> JsonObjects:
        """Return the objects with the fields of ADD, which none of them has: their reader refuses those."""
        if not self._added:
            return objects
        added: Fields = {}
        for target, value in self._added:
            added[self._free(target.literal, added)] = value
        end = "," + orjson.dumps(added).decode()[1:]
        return JsonObjects([text.rstrip(" \t")[:-1] + end for text in objects.texts], objects.members)


def _is_writable(value: Any, levels: int) -> bool:
    """Return True if JSON can be written that has the value within so many objects: the app chooses its depth."""
    if type(value) not in (dict, list) or levels == 1:
        return True
    for _ in range(levels):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _is_removed(name: str, literal: str, *, star: bool) -> bool:
    return name.startswith(literal[:-1]) if star else name == literal


def _remover(path: FieldPath) -> Callable[[Fields], object]:
    if not path.literal.endswith("*"):
        return path.remove
    start = path.literal[:-1]
    parent = FieldPath(path.names[:-1], ".".join(path.names[:-1])) if path.is_nested else None

    def remove(fields: Fields) -> None:
        _remove_all(fields, start)
        inner = parent.get(fields) if parent else None
        if parent and type(inner) is dict:
            _remove_all(inner, path.names[-1][:-1])
            if not inner:
                parent.remove(fields)

    return remove


def _remove_all(fields: Fields, start: str) -> None:
    """Remove the fields whose names begin so."""
    for name in [name for name in fields if name.startswith(start)]:
        del fields[name]


def _flattened(fields: Fields) -> Fields:
    """Return the fields without objects: first those that are none, then the members of the others."""
    flat: Fields = {name: value for name, value in fields.items() if type(value) is not dict or not value}
    left = _LONGER

    def add(prefix: str, value: Any) -> None:
        nonlocal left
        if type(value) is dict and value and left >= len(prefix) * len(value):
            left -= len(prefix) * len(value)
            for name, inner in value.items():
                add(f"{prefix}.{name}", inner)
            return
        while prefix in flat:
            prefix += "_"
        flat[prefix] = value

    for name, value in fields.items():
        if type(value) is dict and value:
            add(name, value)
    return flat
