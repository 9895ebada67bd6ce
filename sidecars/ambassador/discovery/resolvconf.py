"""The parser of resolv.conf (https://man7.org/linux/man-pages/man5/resolv.conf.5.html). No I/O.

c-ares could read the file itself. But for any other file than /etc/resolv.conf its Python binding passes a path that it
has already freed, so this parser reads all files.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_SERVER = re.compile(
    r"(?P<v4>[0-9.]+)(?::(?P<port>[0-9]{1,5}))?"
    r"|(?P<v6>[0-9A-Fa-f:.]+)(?:%[A-Za-z0-9_.-]{1,15})?"
    r"|\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::(?P<port6>[0-9]{1,5}))?(?:%[A-Za-z0-9_.-]{1,15})?"
).fullmatch
_HIGHEST_PORT = 65535
_MOST_NDOTS = 15
_LONGEST_TIMEOUT = 30  # seconds
_MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The servers, options and search domains of a resolv.conf.

    A name with fewer than `ndots` dots is tried with the search domains first.
    """

    servers: tuple[str, ...] = ("127.0.0.1",)
    domains: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 2.0  # seconds for the first question to a server
    attempts: int = 3
    rotate: bool = False
    tcp: bool = False


def parse(text: str) -> ResolvConf:
    """Parse the file's text. Lines and options that make no sense are ignored, as every resolver does."""
    servers: list[str] = []
    domains: tuple[str, ...] = ()
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values and _is_server(values[0]):
            servers.append(values[0])
        elif keyword in ("search", "domain") and values:
            names = (value.rstrip(".") for value in values if value.isascii())
            domains = tuple(name for name in names if name)  # the last line counts
        elif keyword == "options":
            options |= {name: value for name, _, value in (value.partition(":") for value in values)}
    defaults = ResolvConf()
    return ResolvConf(
        servers=tuple(servers) or defaults.servers,
        domains=domains,
        ndots=_number(options, "ndots", defaults.ndots, 0, _MOST_NDOTS),
        timeout=float(_number(options, "timeout", int(defaults.timeout), 1, _LONGEST_TIMEOUT)),
        attempts=_number(options, "attempts", defaults.attempts, 1, _MOST_ATTEMPTS),
        rotate="rotate" in options,
        tcp="use-vc" in options,
    )


def _is_server(text: str) -> bool:
    """Return True for a server that c-ares accepts: an IP address, perhaps with a scope and a port."""
    found = _SERVER(text)
    if found is None or int(found["port"] or found["port6"] or 0) > _HIGHEST_PORT:
        return False
    try:
        ipaddress.ip_address(found["v4"] or found["v6"] or found["bracketed"])
    except ValueError:
        return False
    return True


def _number(options: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    value = options.get(name, "")
    if not (value.isascii() and value.isdigit()):
        return default
    digits = value.lstrip("0")
    return most if len(digits) > len(str(most)) else max(least, min(most, int(digits or "0")))
