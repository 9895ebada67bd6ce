"""Rewrite the addresses in the head of a response, so that the app sees its own port and paths. No I/O.

    Location, Content-Location, Refresh   `location`: a path under the base, also behind the upstream's own origin
    Set-Cookie, Path                      `cookies`: a path under the base, or above it
    Set-Cookie, Domain                    `domains`: removed if it is the upstream's host or above it, so that the
                                          cookie is for the host that the app has asked

An address keeps its form: a path stays a path, and a URL stays one, with the host that the app has asked for. All else
is left as it is: URLs of other origins, relative paths, paths outside the base, and malformed addresses.
"""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.messages import FieldEditor
from sidecars.ambassador.routing.address_map import AddressMap, origin
from sidecars.ambassador.routing.route_table import host_name

LOCATION: Final = "location"
COOKIES: Final = "cookies"
DOMAINS: Final = "domains"
ALL: Final = (LOCATION, COOKIES, DOMAINS)

_REFERENCE: Final = re.compile(rb"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#\\]*))?([^?#]*)(.*)", re.DOTALL).fullmatch
_REFRESH: Final = re.compile(rb"""([0-9.]*[ \t]*[;,][ \t]*[uU][rR][lL][ \t]*=[ \t]*["']?)([^"']*)(["']?)""").fullmatch
_NAMES: Final = {
    LOCATION: (b"location", b"content-location", b"refresh"),
    COOKIES: (b"set-cookie",),
    DOMAINS: (b"set-cookie",),
}


def fields_of(rewrites: frozenset[str]) -> frozenset[bytes]:
    """Return the names of the fields in which something is rewritten."""
    return frozenset(name for word in rewrites for name in _NAMES[word])


class ResponseAddresses(FieldEditor):
    """The rewriting of the responses to one request. Its exchange owns it."""

    __slots__ = ("_app_host", "_map", "_origins", "_scheme", "_sent_host")

    def __init__(self, addresses: AddressMap, app_host: bytes | None, scheme: bytes, sent: bytes) -> None:
        """`app_host`: the app's own Host. `scheme` of the endpoint, and the Host that was `sent` to it."""
        super().__init__(fields_of(addresses.rewrites))
        self._map = addresses
        self._app_host = app_host or b""
        self._scheme = scheme
        self._sent_host = sent
        self._origins = {origin(scheme, sent), *addresses.origins}
        if app_host:  # an upstream that knows it, by HOST=preserve or its settings, names the app's own address
            self._origins |= {origin(b"http", app_host), origin(scheme, app_host)}

    def edit(self, name: bytes, value: bytes) -> bytes:
        if name == b"set-cookie":
            return self._cookie(value)
        if name == b"refresh":
            found = _REFRESH(value)
            return value if found is None else b"%b%b%b" % (found[1], self._reference(found[2]), found[3])
        return self._reference(value)

    def _reference(self, value: bytes) -> bytes:
        """Return a URL or a path as the app may use it."""
        found = _REFERENCE(value)
        if found is None:
            return value
        scheme, authority, path, rest = found.groups()
        if authority is None:
            if scheme is not None or path[:1] != b"/":
                return value
        elif origin(scheme or self._scheme, authority) not in self._origins:
            return value
        inward = self._map.inward(path or b"/")
        if inward is None:
            return value
        start = b""
        if authority is not None and self._app_host:
            start = b"%b//%b" % (b"http:" if scheme else b"", self._app_host)
        return b"%b%b%b" % (start, inward, rest)

    def _cookie(self, value: bytes) -> bytes:
        parts = value.split(b";")
        rewrites = self._map.rewrites
        kept = [parts[0]]
        is_fixed = parts[0].lstrip().lower().startswith(b"__host-")  # it must have the path / and no domain
        for part in parts[1:]:
            name, equals, raw = part.partition(b"=")
            word, text = name.strip().lower(), raw.strip()
            if word == b"path" and COOKIES in rewrites and text[:1] == b"/" and not is_fixed:
                path = self._map.inward_scope(text)
                kept.append(part if path is None else b"%b%b%b" % (name, equals, path))
            elif word == b"domain" and DOMAINS in rewrites and self._is_own_domain(text):
                continue
            else:
                kept.append(part)
        return b";".join(kept)

    def _is_own_domain(self, domain: bytes) -> bool:
        """Return True if the host that was sent is in this domain (RFC 6265 section 5.1.3)."""
        host, name = host_name(self._sent_host), domain.lower().removeprefix(b".")
        return bool(name) and (host == name or host.endswith(b"." + name))
