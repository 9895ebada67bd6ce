"""The hash key of a request, for `BALANCE=hash:header:<name>`, `hash:cookie:<name>` and `hash:source`. No I/O.

A request without the header or the cookie has no key. A request through a unix socket has no source, so no key either.
A request without a key goes to any endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Returns the key, b"" for none. Arguments: the field lines of a request as they are sent, and the host of its client
# ("" if it has none).
HashKeyFunction = Callable[[bytes, str], bytes]


def hash_key_function(balance: str) -> HashKeyFunction | None:
    """Return the function that finds the key of a request; None if `balance` is no hash policy."""
    kind, _, field = balance.removeprefix("hash:").partition(":")
    if kind == "source":
        return lambda _fields, host: host.encode()
    if kind not in ("header", "cookie"):
        return None
    name = re.escape(field.encode())
    pattern = (
        rb"\r\n%b: ([^\r]*)" % name if kind == "header" else rb"\r\ncookie: (?:[^\r]*; *)?(?-i:%b)=([^;\r]*)" % name
    )
    search = re.compile(pattern, re.IGNORECASE).search

    def find(fields: bytes, _host: str) -> bytes:
        found = search(fields)
        return found[1] if found else b""

    return find
