"""Ships JSON objects as the app wrote them: the text is checked, but neither parsed into a dict nor written again.

msgspec checks a text against RFC 8259 and decodes only the members that are needed, at a third of the cost of a dict. A
record is then the text with our members put before the app's.

That needs a block in which every text is an object and none has a member with a reserved name, but for a name that each
text has exactly once, between its quotes: it is renamed in all texts by one replacement. Any other block is parsed into
dicts.

The members for time and level are cut out of the text at places that are certain: as the first member, or anywhere in a
text without escapes and without a second brace, in which no string and no inner object can look like the member.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from sidecars.logshipper.model.field_columns import JsonObjects
from sidecars.logshipper.transform.parsing.parsers import may_nest_deeply

Read = Callable[[Sequence[str]], JsonObjects | None]

_Nothing = Annotated[int, msgspec.Meta(gt=0, lt=0)]  # no value of JSON is one
_PLAIN = re.compile(r"[\w.@-]+", re.ASCII).fullmatch  # a name that is written in one way, but for `\\u0061`
_ESCAPED = "\\u00"
_MOST_DECODERS = 16  # one for each set of reserved names that the texts of an input have


def create_reader(reserved: Iterable[str], wanted: Iterable[str], *, renames: bool = False) -> Read:
    """Return a function that reads texts as JSON objects and decodes their members `wanted`.

    It returns None if a text is no object, is an empty one, or has a member with a `reserved` name. A wanted member may
    have one unless it is null: the text would keep it. If it `renames`, such a member gets an underscore after its
    name, as `field_extraction.rename_reserved` does it, where that is certain.
    """
    names = {name: f"member_{number}" for number, name in enumerate(wanted)}
    reserved = frozenset(reserved)
    refused = {name: f"reserved_{number}" for number, name in enumerate(reserved) if name not in names}
    defaults = {name: msgspec.UNSET if name in reserved else None for name in names}
    renamed = {attribute: name for name, attribute in (names | refused).items()}
    taken = names.keys() | refused.keys()
    may_rename = [name for name in refused if renames and _PLAIN(name) and f"{name}_" not in taken]

    @lru_cache(_MOST_DECODERS)
    def decoder(present: tuple[str, ...]) -> Callable[[str], Any]:
        """Return the decoder of texts that each have these reserved names, and no other ones."""
        members = [(attribute, Any, defaults[name]) for name, attribute in names.items()]
        needed = [(refused[name], Any) for name in present]
        impossible = [(one, _Nothing, None) for name, one in refused.items() if name not in present]
        made = msgspec.defstruct("Members", [*needed, *members, *impossible], rename=renamed, gc=False)
        return msgspec.json.Decoder(made).decode

    def read(texts: Sequence[str]) -> JsonObjects | None:
        if not all(text.startswith('{"') for text in texts) or any(map(may_nest_deeply, texts)):
            return None
        whole = "".join(texts)  # with white space of JSON that is the end of a line to readers of NDJSON
        if "\r" in whole or "\n" in whole:
            return None
        present = tuple(name for name in may_rename if texts and f'"{name}"' in texts[0])
        try:
            found = list(map(decoder(present), texts))
        except (msgspec.DecodeError, RecursionError):
            return None
        members = {name: [getattr(one, attribute) for one in found] for name, attribute in names.items()}
        shipped = _renamed(texts, present) if present else texts
        if shipped is None or any(None in members[name] for name in names if name in reserved):
            return None
        return JsonObjects(shipped, {name: _without_unset(values) for name, values in members.items()})

    return read


def _without_unset(values: list[Any]) -> list[Any]:
    """Return the values, with None for a member that is not there."""
    return [None if value is msgspec.UNSET else value for value in values] if msgspec.UNSET in values else values


def _renamed(texts: Sequence[str], names: Sequence[str]) -> list[str] | None:
    """Return the texts, each of which has these members, with an underscore after their names; None if in doubt.

    It is certain where a name stands between its quotes once for each text, the new one nowhere, and no letter has an
    escape.
    """
    whole = "\n".join(texts)
    if _ESCAPED in whole:
        return None
    for name in names:
        if whole.count(f'"{name}"') != len(texts) or f'"{name}_"' in whole:
            return None
        whole = whole.replace(f'"{name}"', f'"{name}_"')
    return whole.split("\n")
