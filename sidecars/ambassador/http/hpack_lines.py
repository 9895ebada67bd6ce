"""Field lines of HTTP/1.1 as HPACK: lines that `fields` has checked, in the encoding of `http2.encoder`. No I/O.

A connection repeats most of its lines. So the encoded form of a line is cached by its bytes, with the rules of
`fields.FieldLineCache`: no secret, and bounded.
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http2.encoder import SECRET, encode_field
from sidecars.ambassador.http2.fields import Field

# RFC 9113 section 8.2.2: fields of a connection, and how HTTP/1.1 frames. `te: trailers` alone passes.
_NOT_IN_HTTP2: Final = frozenset(
    {b"connection", b"host", b"http2-settings", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_CACHED_LINES: Final = 2048
_CACHED_LENGTH: Final = 256  # bytes of the longest line that is cached
_CACHED_STARTS: Final = 256  # of that length, too


class EncodedLines(dict[bytes, bytes]):
    """Lines (`Name: value`, without CRLF) in HPACK; b"" for one that HTTP/2 does not have. Bounded."""

    def __missing__(self, line: bytes) -> bytes:
        colon = line.index(b":")
        name, value = line[:colon].lower(), line[colon + 2 :]
        if name in _NOT_IN_HTTP2 or (name == b"te" and value != b"trailers"):
            return b""
        encoded = encode_field(name, value)
        if len(line) <= _CACHED_LENGTH and name not in SECRET:
            if len(self) >= _CACHED_LINES:
                self.clear()
            self[line] = encoded
        return encoded


_ENCODED: Final = EncodedLines()
_starts: dict[bytes, bytes] = {}  # `:authority` fields and methods: few ones, unless a client invents them


def encode_lines(lines: bytes) -> bytes:
    """Return all lines in HPACK; they are separated by CRLF. Those that HTTP/2 does not have are left out."""
    return b"".join([_ENCODED[line] for line in lines.split(b"\r\n") if line])


def encode_secrets(lines: bytes) -> bytes:
    """Return these lines of ours in HPACK, so that no hop keeps them in a table; nothing is cached."""
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
    return b"".join([encode_field(name.lower(), value, never=True) for name, _, value in pairs])


def encode_start(method: bytes, scheme: bytes, authority: bytes, path: bytes) -> bytes:
    """Return the four pseudo-fields of a request (RFC 9113 section 8.3.1)."""
    return b"".join(
        (
            _cached(b":method", method),
            _cached(b":scheme", scheme),
            _cached(b":authority", authority),
            encode_field(b":path", path),
        )
    )


def _cached(name: bytes, value: bytes) -> bytes:
    if len(value) > _CACHED_LENGTH:
        return encode_field(name, value)
    key = name + value
    found = _starts.get(key)
    if found is None:
        if len(_starts) >= _CACHED_STARTS:
            _starts.clear()
        found = _starts[key] = encode_field(name, value)
    return found


def trailer_of(line: bytes) -> Field:
    """Return a trailer line of ours, with CRLF, as a field. It goes out in HTTP/1.1 as it is."""
    name, _, value = line[:-2].partition(b": ")
    return Field(name.lower(), value, line=line)
