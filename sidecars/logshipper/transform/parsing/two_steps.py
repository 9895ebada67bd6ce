"""Parses a message that a first step has found: `FORMAT=regex,json` and other pairs.

A message that the second step cannot read stays a text, with the first step's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecars.logshipper.model.field_columns import MESSAGE, FieldColumns, Fields
from sidecars.logshipper.transform.parsing.parsers import Parse


def in_two_steps(first: Parse, second: Parse, clean: Callable[[list[str]], list[str]]) -> Parse:
    """Return a parser of both steps. `clean` redacts the texts that the second step reads.

    A field of the second step wins over one of the first with its name, which gets an underscore after its name.
    """

    def parse(texts: Sequence[str]) -> FieldColumns:
        found = list(first(texts))
        at = [index for index, fields in enumerate(found) if type(fields.get(MESSAGE)) is str]
        messages = clean([found[index][MESSAGE] for index in at])
        for index, inner in zip(at, second(messages), strict=True):
            found[index] = _merged(found[index], inner)
        return found

    return parse


def _merged(outer: Fields, inner: Fields) -> Fields:
    merged: Fields = {}
    for name, value in outer.items():
        if name == MESSAGE:
            merged.update(inner)
            continue
        free = name
        while free in inner or (free != name and free in outer):
            free += "_"
        merged[free] = value
    return merged
