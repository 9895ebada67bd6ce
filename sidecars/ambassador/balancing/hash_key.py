"""The key that a request is hashed by: `BALANCE=hash:…`. No I/O.

A request without the header or the cookie has no key, and neither has one that comes through a unix socket when the
source is hashed: it goes anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Given the field lines of a request as they go out, and the host that it comes from ("" where there is none).
HashKeyFunction = Callable[[bytes, str], bytes]


def hash_key_function(balance: str) -> HashKeyFunction | None:
    """How to find the key; None where the balance is no hash."""
    kind, _, what = balance.removeprefix("hash:").partition(":")
    if kind == "source":
        return lambda _fields, host: host.encode()
    if kind not in ("header", "cookie"):
        return None
    name = re.escape(what.encode())
    pattern = (
        rb"\r\n%b: ([^\r]*)" % name if kind == "header" else rb"\r\ncookie: (?:[^\r]*; *)?(?-i:%b)=([^;\r]*)" % name
    )
    search = re.compile(pattern, re.IGNORECASE).search

    def find(fields: bytes, _host: str) -> bytes:
        found = search(fields)
        return found[1] if found else b""

    return find
