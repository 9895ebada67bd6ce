"""Single elements of the short XML documents that AWS's services and object stores send. Pure.

These documents are flat lists of texts, such as `<Error><Code>SlowDown</Code>…</Error>`. A general parser would take
megabytes and has entities to expand, which a hostile peer could use; here an element is found by its name.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_LONGEST = 64 * 1024  # bytes of a document that are looked at


def element(document: bytes, name: str) -> str | None:
    """Return the text of the first element of that name, without blanks around it; None if there is none.

    `name`: without a prefix; an element of any namespace is found.
    """
    found = _pattern(name).search(document[:_LONGEST])
    return None if found is None else _ENTITY.sub(_character, found[1].decode("utf-8", "replace")).strip()


@lru_cache(maxsize=32)
def _pattern(name: str) -> re.Pattern[bytes]:
    """Return the pattern of an element that has text alone."""
    return re.compile(rb"<(?:[\w.-]{1,64}:)?%b(?:\s[^<>]*)?>([^<]*)<" % re.escape(name.encode()))


def _character(found: re.Match[str]) -> str:
    if found[0] in _NAMED:
        return _NAMED[found[0]]
    number = int(found[1]) if found[1] else int(found[2], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "�"
