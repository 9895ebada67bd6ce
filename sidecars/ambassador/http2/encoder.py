"""HPACK to the peer (RFC 7541), without any state: the static table and literals, neither a dynamic table nor Huffman.

The first block of a connection begins with NO_TABLE, which sets the size of the dynamic table to 0. No size that the
peer announces then needs an answer (section 4.2), and no stream that is reset or repeated can lose any state. The price
are about 200 bytes more for each request.
"""

from __future__ import annotations

from typing import Final

NO_TABLE: Final = b"\x20"  # section 6.3: the dynamic table has size 0

# Appendix A: names and values of the static table, from index 1 on.
STATIC_TABLE: Final = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)

_LITERAL: Final = 0x00  # section 6.2.2: without indexing
_NEVER_INDEXED: Final = 0x10  # section 6.2.3

# Fields that carry a secret: no hop may keep them in a table (RFC 7541 section 7.1.3).
SECRET: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})


def _first_indices() -> dict[bytes, int]:
    indices: dict[bytes, int] = {}
    for index, (name, _) in enumerate(STATIC_TABLE, 1):
        indices.setdefault(name, index)
    return indices


_NAMES: Final = _first_indices()
_OCTETS: Final = [bytes([octet]) for octet in range(256)]
_PAIRS: Final = {
    name + b"\0" + value: bytes([0x80 | index]) for index, (name, value) in enumerate(STATIC_TABLE, 1) if value
}
_OF_PAIRS: Final = frozenset({name for name, value in STATIC_TABLE if value})


def encode_integer(value: int, prefix: int, pattern: int) -> bytes:
    """Return an integer with a prefix of so many bits, behind the bits of `pattern` (section 5.1)."""
    limit = (1 << prefix) - 1
    if value < limit:
        return _OCTETS[pattern | value]
    octets = [pattern | limit]
    value -= limit
    while value >= 128:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def encode_field(name: bytes, value: bytes, *, never: bool = False) -> bytes:
    """Return the field in our encoding. The name is in lower case. Nothing is checked here.

    `never` is True for a field that no hop may index. A field of SECRET never may be indexed.
    """
    never = never or name in SECRET
    if not never and name in _OF_PAIRS:
        indexed = _PAIRS.get(name + b"\0" + value)
        if indexed is not None:
            return indexed
    pattern = _NEVER_INDEXED if never else _LITERAL
    index = _NAMES.get(name, 0)
    size = encode_integer(len(value), 7, 0)
    if index:
        return b"".join((encode_integer(index, 4, pattern), size, value))
    return b"".join((_OCTETS[pattern], encode_integer(len(name), 7, 0), name, size, value))
