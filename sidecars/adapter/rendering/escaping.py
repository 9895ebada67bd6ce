"""Escaping schemes for UTF-8 names: `http.requests` as `http_requests` and the like. No I/O.

Scrapers that know only the legacy character set get the names escaped. Source: Prometheus, "UTF-8 metric and label name
escaping schemes". Where it leaves a choice, the Go library decides: `dots` doubles a `_` and writes any other invalid
character as `__`; `values` does not change names that are valid already.
"""

from __future__ import annotations

import re
from typing import Literal

from sidecars.adapter.exposition.labels import escape

EscapingScheme = Literal["allow-utf-8", "underscores", "dots", "values"]

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LETTER = re.compile(r"[a-zA-Z0-9_]")


def is_legacy_name(name: str, *, label: bool = False) -> bool:
    """True if the name of a metric, or of a label, needs no quotes."""
    return bool((_LABEL if label else _METRIC).fullmatch(name))


def escape_name(name: str, scheme: EscapingScheme, *, label: bool = False) -> str:
    """Return the name of a metric, or of a label, in the scheme's letters; unchanged for `allow-utf-8`."""
    if scheme == "allow-utf-8" or (scheme != "dots" and is_legacy_name(name, label=label)):
        return name
    letters = [_ESCAPES[scheme](character, _is_valid(character, at, label=label)) for at, character in enumerate(name)]
    return ("U__" if scheme == "values" else "") + "".join(letters)


def quote_name(name: str) -> str:
    """Return the name in quotes, as UTF-8 names are written."""
    return f'"{escape(name)}"'


def _is_valid(character: str, at: int, *, label: bool) -> bool:
    if character == ":":
        return not label
    return bool(_LETTER.fullmatch(character)) and not (at == 0 and character.isdigit())


def _underscores(character: str, valid: bool) -> str:  # noqa: FBT001 - the three functions have one signature
    return character if valid else "_"


def _dots(character: str, valid: bool) -> str:  # noqa: FBT001 - the three functions have one signature
    if character == ".":
        return "_dot_"
    return character if valid and character != "_" else "__"


def _values(character: str, valid: bool) -> str:  # noqa: FBT001 - the three functions have one signature
    if character == "_":
        return "__"
    return character if valid else f"_{ord(character):x}_"


_ESCAPES = {"underscores": _underscores, "dots": _dots, "values": _values}
