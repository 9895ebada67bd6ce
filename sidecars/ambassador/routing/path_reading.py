r"""Read a path before a route is decided by it, or it is put under a base. No I/O.

A path is sent on as it came, and the server behind reads it by its own rules. So a path that two readers could take for
two places must not choose an upstream, or pass a base. There are two readings:

    by the RFC   percent-encoded unreserved characters are decoded (RFC 3986 section 6.2.2.2), and nothing
                 else: `%2F` is no slash, `//` is an empty segment, `;v=1` is a part of its segment
    leniently    all percent-encodings are decoded until none is left (`%252e`, `%25%32%65`), `%u002e` and overlong
                 UTF-8 (`%c0%ae`) too; `\` is a slash, empty segments vanish, and a segment ends before its `;`, or
                 before a `?`, `#` or NUL that was encoded, as with some servers

A dot segment (section 6.2.2.3) of either reading is refused: clients remove them before they send a path. Most paths
have nothing to decode, and both readings are the bytes that came.
"""

from __future__ import annotations

import re
from typing import Final

_UNUSUAL: Final = re.compile(rb"[%;\\]|//|/\.").search
_UNRESERVED: Final = re.compile(rb"%(2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")
# The repeat is possessive, so that a long one needs no memory to go back: a `25` belongs to it if an encoding goes on.
_ENCODED: Final = re.compile(rb"%(?:25(?=(?:[uU]00)?[0-9A-Fa-f]{2}))*+(?:[uU]00)?([0-9A-Fa-f]{2})")
_OVERLONG: Final = re.compile(rb"(?:\xf0\x80[\x80\x81]|\xe0[\x80\x81]|[\xc0\xc1])[\x80-\xbf]")  # of ASCII
_MOST_ROUNDS: Final = 8  # of decoding, so that the work is linear
_NAME: Final = re.compile(rb"[^;?#\0]*").match
_BLANKS: Final = b"\t\n\v\f\r "  # some systems drop them at the end of a name


class PathRefused(Exception):
    """A path by which nothing is decided. `reason` is a sentence for people, without the path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_plain(path: bytes) -> bool:
    """Return True if both readings of the path are its own bytes."""
    return _UNUSUAL(path) is None


def by_rfc(path: bytes) -> bytes:
    """Return the path with its unreserved characters decoded."""
    return _UNRESERVED.sub(_decoded, path)


def leniently(path: bytes) -> bytes:
    """Return the path as the most lenient server reads it.

    Raises PathRefused for a dot segment, and for a path that is encoded again and again.
    """
    kept = []
    for segment in _wholly_decoded(path).replace(b"\\", b"/").split(b"/"):
        found = _NAME(segment)
        name = found[0].rstrip(_BLANKS) if found else b""
        if name in (b".", b".."):
            raise PathRefused("the path has a dot segment: the client must resolve it before it asks")
        if name:
            kept.append(name)
    return b"/" + b"/".join(kept)


def has_dot_segment(path: bytes) -> bool:
    """Return True if some server could take a segment of the path for `.` or `..`."""
    if is_plain(path):
        return False
    try:
        leniently(path)
    except PathRefused:
        return True
    return False


def is_under(path: bytes, prefix: bytes) -> bool:
    """Return True if the path is the prefix, or continues it with whole segments. Every path is under b""."""
    return path.startswith(prefix) and (len(path) == len(prefix) or not prefix or path[len(prefix)] == _SLASH)


_SLASH: Final = b"/"[0]


def _wholly_decoded(path: bytes) -> bytes:
    """Return the path as a server has it that decodes it until nothing changes. Raises PathRefused."""
    for _ in range(_MOST_ROUNDS):
        decoded = _OVERLONG.sub(_shortened, _ENCODED.sub(_decoded, path))
        if decoded == path:
            return path
        path = decoded
    raise PathRefused("the path is percent-encoded again and again")


def _decoded(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),))


def _shortened(found: re.Match[bytes]) -> bytes:
    return bytes(((found[0][-2] & 1) << 6 | found[0][-1] & 0x3F,))
