"""The `Host` header field (RFC 9110, section 7.2), as a defence against DNS rebinding. No I/O.

A page of a stranger that a browser shows may call itself by a name that resolves to 127.0.0.1 a moment later. Its
requests to this name then reach a port of this machine, and the browser lets the page read the responses, since its own
name is asked. The name in `Host` is the stranger's: nobody can claim an address or `localhost` in this way.
"""

from __future__ import annotations

import ipaddress
import re

_PORT = re.compile(r":\d{0,5}\Z")


def is_address(host: str) -> bool:
    """Return True if the field names an IP address or `localhost`, with or without a port.

    An empty field is one that no browser sends, so it counts as an address.
    """
    name = _PORT.sub("", host.strip()) if host.count(":") == 1 or host.startswith("[") else host.strip()
    name = name.lower().removesuffix(".")
    if name in ("", "localhost") or name.endswith(".localhost"):  # RFC 6761, section 6.3: never asked of DNS
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
