"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B): decoding alone, since we never encode with it.

The code is canonical: the lengths of its codes are enough to build it. The table has a row for each inner node of the
code's tree, 256 of them, and in it an entry for each of the 16 values of the next four bits. It is built at the first
use: who speaks no HTTP/2 does not pay for it.
"""

from __future__ import annotations

from typing import Final

# The octets by the length of their codes in bits, in the order of the codes. The end of string (EOS) is the last of 30.
_LENGTHS: Final = (
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b'!"()?'),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\x00$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\\xc3\xd0"),
    (20, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
    (21, b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"),
    (22, b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9"),
    (
        23,
        (
            b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5"
            b"\xe7\xef"
        ),
    ),
    (24, b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"),
    (25, b"\xc7\xcf\xea\xeb"),
    (26, b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff"),
    (27, b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe"),
    (
        28,
        (
            b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
            b"\xdc\xf9"
        ),
    ),
    (30, b"\n\r\x16"),
)
_EOS: Final = 256

# An entry of the table: the next row in the low nine bits, then these flags, then the octet.
_ROW: Final = 0x1FF
_EMITS: Final = 0x200  # a code has ended in these four bits
_ENDS: Final = 0x400  # the string may end here: fewer than eight bits of padding, all of them ones
_BROKEN: Final = 0x800  # the bits are those of EOS
_OCTET: Final = 12  # bits to its right

_CACHED: Final = 512  # strings
_CACHED_LENGTH: Final = 48  # bytes of the longest encoded string that is cached

_table: list[int] = []  # of row * 16 + four bits
_cache: dict[bytes, bytes] = {}


class HuffmanError(Exception):
    """The padding is too long or not all ones, or the string holds EOS."""


def decode(data: bytes, *, is_secret: bool = False) -> bytes:
    """Return the octets of an encoded string. Short ones are cached, unless the string is a secret.

    Raises HuffmanError.
    """
    if len(data) > _CACHED_LENGTH or is_secret:
        return _decode(data)
    octets = _cache.get(data)
    if octets is None:
        octets = _decode(data)
        if len(_cache) >= _CACHED:
            _cache.clear()
        _cache[data] = octets
    return octets


def _decode(data: bytes) -> bytes:
    table = _table or _build()
    octets: list[int] = []
    row = 0
    entry: int = _ENDS
    for i in range(len(data)):  # compiled, an index costs less than an iterator
        byte = data[i]
        entry = table[row * 16 + (byte >> 4)]
        if entry & _EMITS:
            octets.append(entry >> _OCTET)
        if entry & _BROKEN:
            raise HuffmanError
        entry = table[(entry & _ROW) * 16 + (byte & 15)]
        if entry & _EMITS:
            octets.append(entry >> _OCTET)
        if entry & _BROKEN:
            raise HuffmanError
        row = entry & _ROW
    if not entry & _ENDS:
        raise HuffmanError
    return bytes(octets)


def _build() -> list[int]:
    """Build the tree, then the table that takes four of its steps at once."""
    children: list[list[int]] = [[-1, -1]]  # of each inner node: a node, or an octet as _LEAF + octet
    depths: list[int] = [0]
    ones: list[bool] = [True]  # True for a node that is reached by ones alone
    code, before = 0, 5
    for length, octets in _LENGTHS:
        code <<= length - before
        before = length
        for octet in octets:
            _insert(children, depths, ones, code, length, octet)
            code += 1
    _insert(children, depths, ones, code, 30, _EOS)
    table = [0] * (len(children) * 16)
    for node in range(len(children)):
        for bits in range(16):
            table[node * 16 + bits] = _entry(children, depths, ones, node, bits)
    _table.extend(table)
    return _table


_LEAF: Final = 1000


def _insert(children: list[list[int]], depths: list[int], ones: list[bool], code: int, length: int, octet: int) -> None:
    node = 0
    for shift in range(length - 1, 0, -1):
        bit = code >> shift & 1
        if children[node][bit] < 0:
            children[node][bit] = len(children)
            children.append([-1, -1])
            depths.append(depths[node] + 1)
            ones.append(ones[node] and bit == 1)
        node = children[node][bit]
    children[node][code & 1] = _LEAF + octet


def _entry(children: list[list[int]], depths: list[int], ones: list[bool], node: int, bits: int) -> int:
    entry = 0
    for shift in (3, 2, 1, 0):
        node = children[node][bits >> shift & 1]
        if node == _LEAF + _EOS:
            return _BROKEN
        if node >= _LEAF:
            entry = _EMITS | (node - _LEAF) << _OCTET
            node = 0
    if ones[node] and depths[node] <= 7:
        entry |= _ENDS
    return entry | node
