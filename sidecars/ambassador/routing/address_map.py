"""The addresses of an upstream as the app sees them, and as the upstream does. No I/O.

    the app's path      /orders/7?x=1      the prefix of the route, which STRIP_PREFIX removes, and the rest
    the upstream's      /api/v2/7?x=1      the base in UPSTREAM, and the same rest

`outward` and `inward` are inverse, with one exception: the prefix alone (`/orders`) and the base alone (`/api/v2`)
stand for each other, and if there is no prefix or no base, it is `/`. No path leaves the base: one with a dot segment
was refused before (`path_reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.routing.path_reading import has_dot_segment, is_under

_UNSAFE_STARTS: Final = (b"//", b"/\\")  # what follows would be taken for a host (RFC 3986 section 4.2)


class AddressMap:
    """The two views of one route's addresses. Its route, or its upstream, owns it; never changed.

    - `base`: the path in UPSTREAM, without a slash at its end; b"" for none.
    - `prefix`: the path of the route if it is stripped, else b"".
    - `rewrites`: the kinds of addresses that are rewritten in responses (`response_addresses`).
    - `origins`: the origins of the upstream (`http://orders.shop:8080`), as `origin` returns them.
    - `scope`: the path below which all requests of the app for this upstream are, b"" for `/`. The cookies of the whole
      upstream get it, so that they are for none of the port's other upstreams.
    """

    __slots__ = ("base", "origins", "prefix", "rewrites", "scope")

    def __init__(
        self,
        base: bytes,
        prefix: bytes,
        rewrites: frozenset[str],
        origins: frozenset[bytes] = frozenset(),
        scope: bytes = b"",
    ) -> None:
        self.scope = scope or prefix
        self.base = base
        self.prefix = prefix
        self.rewrites = rewrites
        self.origins = origins

    def outward(self, target: bytes) -> bytes:
        """Return the target to send for the target of the app, a path under the prefix.

        `*`, the app's view of the whole server (RFC 9112 section 3.2.4), is the base: no request leaves it.
        """
        if target == b"*":
            return self.base or target
        path, mark, query = target.partition(b"?")
        rest = self._behind_prefix(path) if self.prefix else path
        return b"%b%b%b" % (self.base + rest or b"/", mark, query)

    def leaves_two_slashes(self, path: bytes) -> bool:
        """Return True if the target of this path would begin like an authority, which the app has not sent."""
        return bool(self.prefix) and not self.base and self._behind_prefix(path).startswith(_UNSAFE_STARTS)

    def _behind_prefix(self, path: bytes) -> bytes:
        """Return the path behind as many segments as the prefix has: it may be percent-encoded."""
        if is_under(path, self.prefix):
            return path[len(self.prefix) :]
        segments = path.split(b"/")[self.prefix.count(b"/") + 1 :]
        return b"".join([b"/" + segment for segment in segments])

    def inward(self, path: bytes) -> bytes | None:
        """Return the app's path for a path of the upstream, without query; None if the app cannot reach it."""
        if not is_under(path, self.base):
            return None
        rest = path[len(self.base) :]
        found = self.prefix + rest or b"/"
        if has_dot_segment(rest) or found.startswith(_UNSAFE_STARTS):
            return None
        return found

    def inward_scope(self, path: bytes) -> bytes | None:
        """Return the app's path for the Path of a cookie (RFC 6265 section 5.1.4); None if no request has it.

        The base, and a scope above it, become the `scope` of the upstream.
        """
        if path == b"/" or is_under(self.base + b"/", path.removesuffix(b"/")):
            return self.scope or b"/"
        return self.inward(path)


def common_path(paths: Sequence[bytes]) -> bytes:
    """Return the longest path, of whole segments, that all of these paths are or begin with; b"" for `/`."""
    found = paths[0].split(b"/")
    for path in paths[1:]:
        segments = path.split(b"/")
        same = 0
        while same < len(found) and same < len(segments) and found[same] == segments[same]:
            same += 1
        found = found[:same]
    return b"/".join(found)


def origin(scheme: bytes, authority: bytes) -> bytes:
    """Return an origin in a form that can be compared: in lower case, without the scheme's usual port."""
    name, colon, port = authority.lower().rpartition(b":")
    if not colon or not port.isdigit():
        name, port = authority.lower().removesuffix(b":"), b""
    scheme = scheme.lower()
    if port.lstrip(b"0") == (b"443" if scheme == b"https" else b"80"):
        port = b""
    return b"%b://%b:%b" % (scheme, name, port.lstrip(b"0"))
