"""Private keys in PEM form whose lines are events of their own. Pure.

    -----BEGIN PRIVATE KEY-----        the pattern of `apikey` replaces it, and what follows in the same event
    MIIEvQIBADANBgkqhkiG9w0BAQ…        64 characters of base64: this, too, wherever the line stands
    …tail==                            a shorter line: replaced here, because the beginning is known
    -----END PRIVATE KEY-----          or the end is, with a full line before the short one

A key may go on in the next chunk. So the lines that stand before a chunk in the file are read again (`Chunk.before`),
and tell which keys are open where it begins. That is no state: a chunk that is repeated has the same records.

The lines of one key stand in one *place*: the same output stream of a container, or the same member of JSON objects.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import orjson

from sidecars.logshipper.transform.parsing.parsers import may_nest_deeply

CONTEXT = 16 * 1024  # bytes before a chunk: the longest key, with some lines of others between
NAMED = "PRIVATE KEY-----"
_BEGIN, _END = "-----BEGIN ", "-----END "
_BODY = re.compile(r"\s*[A-Za-z0-9+/=]+\s*").fullmatch
_FULL = re.compile(r"\s*[A-Za-z0-9+/]{64}\s*").fullmatch
_LONGEST = 200  # lines of a key; RSA with 16,384 bits has 200
_REPLACED = "[apikey]"

Open = MutableMapping[str, int]
"""The keys that have begun and not ended: place -> the number of further lines that may belong to the key."""


def redact(texts: Sequence[str], places: Sequence[str] | None, open_keys: Open) -> list[str]:
    """Return the texts without the lines of keys. `open_keys` changes: it is for the texts that follow in the file."""
    clean = list(texts)
    for index, text in enumerate(texts):
        place = places[index] if places else ""
        left = open_keys.get(place, 0)
        if not left and NAMED not in text:
            continue
        clean[index], open_keys[place] = _without_lines(text, left)
        if not left and _END in text:
            _replace_before(clean, places, index)
    return clean


def redact_json(texts: Sequence[str], open_keys: Open) -> list[str]:
    """Return JSON objects without the lines of keys in their strings. Anything else is a text, as in `redact`."""
    clean = list(texts)
    for index, text in enumerate(texts):
        if not any(open_keys.values()) and NAMED not in text:
            continue
        try:
            document = orjson.loads("" if may_nest_deeply(text) else text)
        except orjson.JSONDecodeError:
            clean[index], open_keys[""] = _without_lines(text, open_keys.get("", 0))
            continue
        shown = _without_strings(document, "", open_keys)
        if shown != document:
            clean[index] = orjson.dumps(shown).decode()
    return clean


def _without_lines(text: str, left: int) -> tuple[str, int]:
    """Return a text without the lines of keys that began in an earlier one, and the lines that may still follow.

    `left`: the lines of the open key that may be in this text.
    """
    lines = text.split("\n")
    is_fresh = False  # True if the pattern of `apikey` replaces the line, together with its beginning
    for at, line in enumerate(lines):
        begin = line.rfind(_BEGIN)
        if begin >= 0 or _END in line:
            _, is_named, rest = line[begin:].partition(NAMED)
            is_fresh = bool(begin >= 0 and is_named) and (not rest.strip() or _BODY(rest) is not None)
            left = _LONGEST if is_fresh else 0
        elif left:
            left -= 1
            if not _BODY(line):
                is_fresh = is_fresh and not line.strip()
            elif not is_fresh:
                lines[at] = _REPLACED
    return "\n".join(lines), left


def _replace_before(clean: list[str], places: Sequence[str] | None, end: int) -> None:
    """Replace the lines before the end of a key whose beginning is not known, if one of them is a full line."""
    found = []
    for index in range(end - 1, max(-1, end - _LONGEST), -1):
        if places is None or places[index] == places[end]:
            if not _BODY(clean[index]):
                break
            found.append(index)
    if any(_FULL(clean[index]) for index in found):
        for index in found:
            clean[index] = _REPLACED


def _without_strings(value: Any, place: str, open_keys: Open) -> Any:
    """Return a JSON value without the lines of keys in its strings. The items of an array have one place."""
    if isinstance(value, str):
        left = open_keys.get(place, 0)
        if not left and NAMED not in value:
            return value
        value, open_keys[place] = _without_lines(value, left)
        return value
    if isinstance(value, list):
        return [_without_strings(item, place, open_keys) for item in value]
    if isinstance(value, dict):
        return {name: _without_strings(item, f"{place}/{name}", open_keys) for name, item in value.items()}
    return value
