"""Parsers: the texts of events to fields, for the formats `json`, `logfmt` and `regex`.

A text in another format is shipped as it is: its fields are `message` with the text and `parse_error` with the name of
the format. No event is dropped here. Fields are never empty: a text without fields is the `message`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import orjson

from sidecars.logshipper.model.field_columns import MESSAGE, PARSE_ERROR, FieldColumns, Fields, Table, unparsed
from sidecars.logshipper.transform import linear_regex

Parse = Callable[[Sequence[str]], FieldColumns]


def create_parser(form: str, regex: str | None) -> Parse | None:
    """Return the parser of a format; None for a format without fields. Raises ValueError for a bad regex."""
    if form == "json":
        return parse_json
    if form == "logfmt":
        return parse_logfmt
    return _regex_parser(regex) if form == "regex" and regex else None


# -- JSON ----------------------------------------------------------------------------------------------------------


DEEPEST = 254  # levels of nesting that orjson can write


def parse_json(texts: Sequence[str]) -> list[Fields]:
    """Return the members of the object in each text."""
    if not any(map(may_nest_deeply, texts)):
        try:
            fields = list(map(orjson.loads, texts))
        except orjson.JSONDecodeError:
            fields = []
        if fields and set(map(type, fields)) == {dict} and all(fields):
            return fields
    return [_json_object(text) for text in texts]


def may_nest_deeply(text: str) -> bool:
    """True if the text may have more than `DEEPEST` levels: it has more brackets than that."""
    return text.count("{") + text.count("[") > DEEPEST


def _json_object(text: str) -> Fields:
    try:
        found = orjson.loads(text)
        if may_nest_deeply(text):
            orjson.dumps(found)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return unparsed("json", text)
    if type(found) is not dict:
        return unparsed("json", text)
    return found or {MESSAGE: text}


# -- logfmt --------------------------------------------------------------------------------------------------------

_KEY = r"[^\s=\"]+"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'  # possessive: to go back into it, `re` would keep a hundred bytes for each character
_PAIR = re.compile(rf'({_KEY})(?:=({_QUOTED}|[^\s"]*))?(?=\s|\Z)\s*', re.DOTALL)


def parse_logfmt(texts: Sequence[str]) -> list[Fields]:
    """Parse `key=value key="a quoted value" flag`: values are strings, and a key without a value is true."""
    return [_logfmt(text) for text in texts]


def _logfmt(text: str) -> Fields:
    rest, at, paired = text.strip(), 0, False
    fields: Fields = {}
    while at < len(rest):
        found = _PAIR.match(rest, at)
        if found is None:
            return unparsed("logfmt", text)
        at = found.end()
        key, value = found.groups()
        paired = paired or value is not None
        fields[key] = True if value is None else _unquoted(value)
    return fields if paired else unparsed("logfmt", text)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    if "\\" not in value:
        return value[1:-1]
    try:
        return str(orjson.loads(value))
    except orjson.JSONDecodeError:
        return value[1:-1]


# -- regex ---------------------------------------------------------------------------------------------------------


def _regex_parser(pattern: str) -> Parse:
    """Return a parser whose fields are the named groups of the regex, which must match the whole first line.

    Further lines are added to the group `message`. Without such a group, the whole text is the message.
    """
    match, names = linear_regex.group_matcher(pattern), linear_regex.group_names(pattern)
    match_rows = linear_regex.row_matcher(pattern)
    if not any(names):
        raise ValueError("expected named groups, such as (?P<level>[A-Z]+): they become the fields")
    if PARSE_ERROR in names:
        raise ValueError(f"a group cannot be called {PARSE_ERROR}: that field marks events that do not match")
    has_message, all_named = MESSAGE in names, all(names)

    def parse(texts: Sequence[str]) -> FieldColumns:
        rows = match_rows(texts) if match_rows and all_named and has_message else None
        return [_one(text) for text in texts] if rows is None else Table(tuple(names), rows)

    def _one(text: str) -> Fields:
        first, newline, more = text.partition("\n")
        values = match(first)
        if values is None:
            return unparsed("regex", text)
        fields = {name: value for name, value in zip(names, values, strict=True) if name and value is not None}
        if not has_message:
            fields[MESSAGE] = text
        elif more:
            fields[MESSAGE] = f"{fields.get(MESSAGE, '')}{newline}{more}"
        return fields or {MESSAGE: text}

    return parse
