"""Parsers: the texts of events to fields, for the formats `json`, `logfmt` and `regex`.

A text in another format is shipped as it is: its fields are `message` with the text and `parse_error` with the name of
the format. No event is dropped here. Fields are never empty: a text without fields is the `message`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import orjson

from sidecars.logshipper.model.field_columns import MESSAGE, PARSE_ERROR, FieldColumns, Fields, Table, unparsed
from sidecars.logshipper.transform.patterns import linear_regex

Parse = Callable[[Sequence[str]], FieldColumns]


def create_parser(form: str, regex: str | None) -> Parse:
    """Return the parser of `json`, `logfmt` or `regex`. Raises ValueError for a bad regex, or a missing one."""
    if form == "json":
        return parse_json
    if form == "logfmt":
        return parse_logfmt
    if not regex:
        raise ValueError("expected a regex")
    return _regex_parser(regex)


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
    return len(text) > DEEPEST and text.count("{") + text.count("[") > DEEPEST


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

_KEY = r"[^\s=\"]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'  # possessive: to go back into it, `re` would keep a hundred bytes for each character
_VALUE = rf'[^\s"]++(?:{_QUOTED}[^\s"]*+)*+'  # such as Ruby's {"a"=>"b c"}
_PAIR = re.compile(rf"({_KEY})(=(?:{_QUOTED}|{_VALUE}|))?(?=\s|\Z)\s*", re.DOTALL)
_PAIRS = re.compile(rf"{_PAIR.pattern}|(\S+)\s*", re.DOTALL).findall  # the third group: a word that is no pair
_MOST_QUOTES = 64  # of a text that is read at once: an open one is searched for its end
_WORD = re.compile(r"\S+\s*")
_MOST_BAD = 16  # words of a text that are no pairs: each may have been searched for a quotation mark up to the end

UNPARSED = "unparsed"


def parse_logfmt(texts: Sequence[str]) -> list[Fields]:
    """Parse `key=value key="a quoted value" flag`: values are strings, and a key without a value is true.

    Words that are no pairs become the field `unparsed`, and the event is marked.
    """
    return [_logfmt(text) for text in texts]


def _logfmt(text: str) -> Fields:
    rest = text.strip()
    if rest.count('"') <= _MOST_QUOTES:
        found = _PAIRS(rest)
        if not any(bad for _, _, bad in found):
            fields = {key: _value(value) for key, value, _ in found}
            return fields if any(value for _, value, _ in found) else unparsed("logfmt", text)
    return _logfmt_by_words(text, rest)


def _logfmt_by_words(text: str, rest: str) -> Fields:
    """Return the fields of a text that has words which are no pairs. `rest`: the text without white space around."""
    at, paired = 0, False
    fields: Fields = {}
    bad: list[str] = []
    while at < len(rest):
        found = _PAIR.match(rest, at)
        if found is None:
            word = _WORD.match(rest, at)
            end = len(rest) if word is None or len(bad) == _MOST_BAD else word.end()
            bad.append(rest[at:end].rstrip())
            at = end
            continue
        at = found.end()
        key, value = found.groups()
        paired = paired or value is not None
        fields[key] = _value(value)
    if not paired:
        return unparsed("logfmt", text)
    return fields | _marked(fields, " ".join(bad)) if bad else fields


def _marked(fields: Fields, rest: str) -> Fields:
    """Return the fields that hold a text which could not be read. A field of the app with the name of one keeps it."""
    name = UNPARSED
    while name in fields:
        name += "_"
    return {PARSE_ERROR: fields.get(PARSE_ERROR, "logfmt"), name: rest}


def _value(text: str | None) -> str | bool:
    """Return the value of a text such as `="a b"`."""
    if not text:
        return True
    value = text[1:]
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
