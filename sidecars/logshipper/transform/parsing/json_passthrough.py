"""Ships JSON objects as the app wrote them: the text is checked, but neither parsed into a dict nor written again.

msgspec checks a text against RFC 8259 and decodes only the members that are needed, at a third of the cost of a dict. A
record is then the text with our members put before the app's.

That needs a block in which every text is an object and none has a member with a reserved name. Any other block is
parsed into dicts.

The members for time and level are cut out of the text at places that are certain: as the first member, or anywhere in a
text without escapes and without a second brace, in which no string and no inner object can look like the member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from sidecars.logshipper.model.field_columns import JsonObjects
from sidecars.logshipper.transform.parsing.parsers import may_nest_deeply


def create_reader(reserved: Iterable[str], wanted: Iterable[str]) -> Callable[[Sequence[str]], JsonObjects | None]:
    """Return a function that reads texts as JSON objects and decodes their members `wanted`.

    It returns None if a text is no object, is an empty one, or has a member with a `reserved` name.
    """
    names = {name: f"member_{number}" for number, name in enumerate(wanted)}
    refused = {name: f"reserved_{number}" for number, name in enumerate(reserved) if name not in names}
    members = [(attribute, Any, None) for attribute in names.values()]
    impossible = [(attribute, Literal["\0"], None) for attribute in refused.values()]
    renamed = {attribute: name for name, attribute in (names | refused).items()}
    members_type = msgspec.defstruct("Members", [*members, *impossible], rename=renamed, gc=False)
    decode = msgspec.json.Decoder(members_type).decode

    def read(texts: Sequence[str]) -> JsonObjects | None:
        if not all(text.startswith('{"') for text in texts) or any(map(may_nest_deeply, texts)):
            return None
        whole = "".join(texts)  # with white space of JSON that is the end of a line to readers of NDJSON
        if "\r" in whole or "\n" in whole:
            return None
        try:
            found = list(map(decode, texts))
        except (msgspec.DecodeError, RecursionError):
            return None
        return JsonObjects(
            texts, {name: [getattr(one, attribute) for one in found] for name, attribute in names.items()}
        )

    return read
