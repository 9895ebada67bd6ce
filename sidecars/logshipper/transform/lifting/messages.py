"""Gives the field that `MESSAGE_KEY` names the name `message`, in its place among the other fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields, JsonObjects, Table
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import MISSING, FieldPath


def with_message(fields: FieldColumns, candidates: Sequence[FieldPath]) -> tuple[FieldColumns, int]:
    """Return the fields with their messages, and the number of events that have none.

    Of the candidates the first one counts that is a text. A field `message` that is another one becomes `message_`.
    """
    if isinstance(fields, Table):
        path = next((path for path in candidates if path.literal in fields.names), None)
        if path is None:
            return fields, len(fields)
        names = dict.fromkeys(fields.names)
        return Table(tuple(_renamed(names, path.literal)), fields.rows), 0
    if isinstance(fields, JsonObjects):
        return _in_texts(fields, candidates)
    missing = 0
    for index, one in enumerate(fields):
        found = _found(one, candidates)
        if found is None:
            missing += 1
        elif found.literal != MESSAGE:
            fields[index] = _moved(one, found)
    return fields, missing


def _found(fields: Fields, candidates: Sequence[FieldPath]) -> FieldPath | None:
    return next((path for path in candidates if type(path.get(fields)) is str), None)


def _moved(fields: Fields, path: FieldPath) -> Fields:
    if path.literal in fields:
        return _renamed(fields, path.literal)
    value = path.remove(fields)
    if MESSAGE in fields:
        fields = _renamed(fields, "")
    fields[MESSAGE] = value
    return fields


def _renamed(fields: Fields, name: str) -> Fields:
    """Return the fields, of which `name` is the message now."""
    if name == MESSAGE:
        return fields
    other = MESSAGE
    while other in fields:
        other += "_"
    names = {name: MESSAGE, MESSAGE: other}
    return {names.get(key, key): value for key, value in fields.items()}


# -- texts of JSON -------------------------------------------------------------------------------------------------


def _in_texts(fields: JsonObjects, candidates: Sequence[FieldPath]) -> tuple[FieldColumns, int]:
    columns = [(path, field_paths.column(fields, path)) for path in candidates]
    texts, missing = list(fields.texts), 0
    for index, text in enumerate(texts):
        path, value = next(
            ((path, column[index]) for path, column in columns if column is not None and type(column[index]) is str),
            (None, MISSING),
        )
        if path is None:
            missing += 1
        elif path.literal != MESSAGE:
            changed = _with_other_name(text, path, value)
            if changed is None:
                try:
                    changed = orjson.dumps(_moved(orjson.loads(text), path)).decode()
                except ValueError:  # the text has no dict
                    missing += 1
                    continue
            texts[index] = changed
    return JsonObjects(texts, fields.members), missing


def _with_other_name(text: str, path: FieldPath, value: Any) -> str | None:
    """Return the text in which the member is called `message`; None if its place is not certain.

    Its place is certain where no string and no inner object can look like the member, and its name comes once. There
    must be no `message` yet.
    """
    if f'"{MESSAGE}"' in text or "\\u" in text:
        return None
    name = orjson.dumps(path.literal).decode()
    if text.count(name) > 1:
        return None
    if text.startswith(f'{{{name}:"'):
        return f'{{"{MESSAGE}":{text[len(name) + 2 :]}'
    if "\\" not in text and text.count("{") == 1:
        member = f',{name}:"{value}"'
        at = text.find(member)
        if at > 0:
            return f'{text[:at]},"{MESSAGE}":{text[at + len(name) + 2 :]}'
    return None
