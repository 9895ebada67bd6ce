"""UTF-8 names for readers who know the old letters only: `http.requests` as `http_requests` and the like. No I/O.

Source: Prometheus, "UTF-8 metric and label name escaping schemes", and where that leaves a choice, what its Go library
does: `dots` doubles what it cannot say otherwise, `values` leaves names alone that need no help.
"""

from __future__ import annotations

import re
from typing import Literal

Escaping = Literal["allow-utf-8", "underscores", "dots", "values"]

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LETTER = re.compile(r"[a-zA-Z0-9_]")


def is_old(name: str, *, label: bool = False) -> bool:
    """Whether the name needs no quotes."""
    return bool((_LABEL if label else _METRIC).fullmatch(name))


def escaped(name: str, scheme: Escaping, *, label: bool = False) -> str:
    """The name in the scheme's letters; as it is for `allow-utf-8`."""
    if scheme == "allow-utf-8" or (scheme != "dots" and is_old(name, label=label)):
        return name
    letters = [_LETTERS[scheme](character, _valid(character, at, label=label)) for at, character in enumerate(name)]
    return ("U__" if scheme == "values" else "") + "".join(letters)


def _valid(character: str, at: int, *, label: bool) -> bool:
    if character == ":":
        return not label
    return bool(_LETTER.fullmatch(character)) and not (at == 0 and character.isdigit())


def _underscores(character: str, valid: bool) -> str:  # noqa: FBT001 - all three are called alike
    return character if valid else "_"


def _dots(character: str, valid: bool) -> str:  # noqa: FBT001 - as above
    if character == ".":
        return "_dot_"
    return character if valid and character != "_" else "__"


def _values(character: str, valid: bool) -> str:  # noqa: FBT001 - as above
    if character == "_":
        return "__"
    return character if valid else f"_{ord(character):x}_"


_LETTERS = {"underscores": _underscores, "dots": _dots, "values": _values}


def quoted(name: str) -> str:
    """The name between quotes, as `allow-utf-8` writes it."""
    return '"' + name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'
