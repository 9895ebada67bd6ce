"""JSON objects that are shipped as the app wrote them: checked, looked into, but neither taken apart nor written anew.

msgspec checks a text to the letter of RFC 8259 and hands out only the members that are asked for, at a third of the
cost of making dicts of it; a record is then made by putting our members before the app's. That goes where nothing but
objects stand, and none has a member that is called like one of ours; else the whole block is read into dicts.

The members that become time and level are cut out of the text, where they certainly stand: as the first one, or
anywhere in a text without escapes and without a second brace, in which no string and no inner object can look like it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from sidecars.logshipper.model.field_columns import JsonObjects
from sidecars.logshipper.transform.parsers import may_nest_deeply


def create_reader(ours: Iterable[str], wanted: Iterable[str]) -> Callable[[Sequence[str]], JsonObjects | None]:
    """Reads texts into documents; None where one is no object, is empty, or has a member that is called as ours."""
    names = {name: f"member_{number}" for number, name in enumerate(wanted)}
    refused = {name: f"ours_{number}" for number, name in enumerate(ours) if name not in names}
    members = [(attribute, Any, None) for attribute in names.values()]
    impossible = [(attribute, Literal["\0"], None) for attribute in refused.values()]
    renamed = {attribute: name for name, attribute in (names | refused).items()}
    known = msgspec.defstruct("Known", [*members, *impossible], rename=renamed, gc=False)
    decode = msgspec.json.Decoder(known).decode

    def read(texts: Sequence[str]) -> JsonObjects | None:
        if not all(text.startswith('{"') for text in texts) or any(map(may_nest_deeply, texts)):
            return None
        if "\r" in "".join(texts):  # a blank to JSON, and to some readers of NDJSON the end of a line
            return None
        try:
            found = list(map(decode, texts))
        except (msgspec.DecodeError, RecursionError):
            return None
        return JsonObjects(
            texts, {name: [getattr(one, attribute) for one in found] for name, attribute in names.items()}
        )

    return read
