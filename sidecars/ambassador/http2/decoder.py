"""HPACK from the peer (RFC 7541): blocks of fields to `Field` objects. No I/O.

The dynamic table holds `Field` objects, so an indexed field costs a pointer. And a connection repeats whole blocks: as
long as nothing was inserted into the table, the same bytes give the same fields. `HeaderBlock` is the memo's entry. It
keeps the checked head beside its fields, so a repeated block is neither decoded nor checked again.

What a connection keeps between its messages has a bound of its own, because there are many connections: the table and
the memo together take at most STATE bytes of this process. A field takes several times what HPACK counts for it: the
object with its re-encoded forms, and each of its strings. So the memo gets what the table leaves, and a block that
finds no room clears it, or is not kept at all.

Limits: a block whose fields count more than `max_size` bytes, or are more than `max_fields`, is `is_too_large`, and is
decoded on without being kept, since the table must follow. Beyond twice as much the connection ends.
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http2 import huffman
from sidecars.ambassador.http2.encoder import SECRET, STATIC_TABLE
from sidecars.ambassador.http2.fields import OVERHEAD, Field
from sidecars.ambassador.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead

TABLE_SIZE: Final = 4096  # bytes of the dynamic table: what both sides have before anything is announced
_STATICS: Final = 61
_MEMO: Final = 16  # blocks
_MEMO_BLOCK: Final = 256  # bytes of the longest encoded block that is kept
_MEMO_FIELDS: Final = 2048  # bytes of its fields
STATE: Final = 32 * 1024  # bytes of this process, for the table and the memo
# What is kept of a field, beside three times what HPACK counts: the object, and the heads of four strings.
_FIELD: Final = 164
# What is kept of a block: its objects; of each field, a place in three lists; and its text as lines, in our encoding,
# and in that with the start for four endpoints, each of them no longer than 512 bytes (`http/http2_request`).
_BLOCK: Final = 1024
_PLACES: Final = 24
_STARTS, _LONGEST_START, _START = 4, 512, 128
_MOST_CONTINUED: Final = 4  # further octets of an integer: numbers up to 2^28

_static_fields: list[Field] = []  # built at the first use


class HeaderBlock:
    """The fields of one block. Shared by equal blocks and never changed, but for the heads that are computed once."""

    __slots__ = ("fields", "is_too_large", "request", "response", "size", "trailers")

    def __init__(self, fields: list[Field], size: int, *, is_too_large: bool) -> None:
        self.fields = fields
        self.size = size  # bytes, as limits count them
        self.is_too_large = is_too_large
        self.request: RequestHead | None = None
        self.response: ResponseHead | None = None
        self.trailers: list[Field] | None = None

    def content_type(self) -> bytes:
        """Return the first Content-Type, whatever else is wrong with the fields; b"" if there is none."""
        for field in self.fields:
            if field.name == b"content-type":
                return field.value
        return b""


class Decoder:
    """Decodes the blocks of one connection, in their order. The connection owns it."""

    __slots__ = ("_at", "_capacity", "_max_fields", "_max_size", "_memo", "_room", "_size", "_table")

    def __init__(self, max_size: int, max_fields: int) -> None:
        """`max_size`: bytes of one block's fields, each with its overhead of 32."""
        self._max_size = max_size
        self._max_fields = max_fields
        self._table: list[Field] = []  # the newest is the last
        self._size: int = 0  # bytes of the table's fields
        self._capacity: int = TABLE_SIZE
        self._memo: dict[bytes, HeaderBlock] = {}
        self._room: int = 0  # bytes that the memo may still take, while it has a block
        self._at: int = 0  # where the next octet of the block stands

    def decode(self, block: bytes) -> HeaderBlock:
        """Decode one whole block. Raises ProtocolError."""
        known = self._memo.get(block)
        if known is not None:
            return known
        try:
            return self._decode(block)
        except IndexError:
            raise ProtocolError(COMPRESSION_ERROR, "a block of fields ends too early") from None
        except huffman.HuffmanError:
            raise ProtocolError(COMPRESSION_ERROR, "a string is not in HPACK's Huffman code") from None

    def _decode(self, block: bytes) -> HeaderBlock:  # noqa: C901 - five kinds of entries, one loop
        statics = _static_fields or _build_statics()
        fields: list[Field] = []
        size = count = updates = literals = 0
        is_stable = True  # False if this block has changed the table
        end = len(block)
        self._at = 0
        while self._at < end:
            first = block[self._at]
            if first >= 0x80:  # section 6.1: indexed
                field = self._indexed(statics, self._integer(block, 0x7F))
            elif first >= 0x40:  # section 6.2.1: a literal that is inserted
                field = self._literal(block, statics, 0x3F, never=False)
                self._insert(field)
                is_stable = False
            elif first >= 0x20:  # section 6.3: a new size of the table
                updates += 1
                if count or updates > 2:
                    raise ProtocolError(COMPRESSION_ERROR, "an update of the table's size stands behind a field")
                self._resize(self._integer(block, 0x1F))
                is_stable = False
                continue
            else:  # sections 6.2.2 and 6.2.3
                field = self._literal(block, statics, 0x0F, never=first >= 0x10)
                literals += _FIELD + 3 * (len(field.name) + len(field.value) + OVERHEAD)
            size += len(field.name) + len(field.value) + OVERHEAD
            count += 1
            if size <= self._max_size and count <= self._max_fields:
                fields.append(field)
            elif size > 2 * self._max_size or count > 2 * self._max_fields:
                raise ProtocolError(ENHANCE_YOUR_CALM, "the fields of a message are far beyond the limit")
        decoded = HeaderBlock(fields, size, is_too_large=len(fields) < count)
        if not is_stable:
            if self._memo:
                self._memo.clear()
        elif end <= _MEMO_BLOCK and size <= _MEMO_FIELDS:
            self._keep(block, decoded, literals)
        return decoded

    def _keep(self, block: bytes, decoded: HeaderBlock, literals: int) -> None:
        """Keep a block in the memo, if there is room. `literals` is the memory of its fields that no table has."""
        count = len(decoded.fields)
        text = decoded.size - OVERHEAD * count
        starts = _STARTS * min(_LONGEST_START, text + _START)
        taken = _BLOCK + _PLACES * count + 2 * text + starts + literals
        if not self._memo or len(self._memo) >= _MEMO or taken > self._room:
            self._memo.clear()
            self._room = STATE - _FIELD * len(self._table) - 3 * self._size
            if taken > self._room:
                return
        self._room -= taken
        self._memo[block] = decoded

    def _integer(self, block: bytes, mask: int) -> int:
        """Read an integer whose prefix has the bits of `mask` (section 5.1)."""
        at = self._at
        value = block[at] & mask
        at += 1
        if value == mask:
            shift = 0
            while True:
                octet = block[at]
                at += 1
                value += (octet & 0x7F) << shift
                shift += 7
                if octet < 0x80:
                    break
                if shift >= 7 * _MOST_CONTINUED:
                    raise ProtocolError(COMPRESSION_ERROR, "an integer is too large")
        self._at = at
        return value

    def _string(self, block: bytes, *, is_secret: bool) -> bytes:
        """Read a string (section 5.2)."""
        is_huffman = block[self._at] >= 0x80
        length = self._integer(block, 0x7F)
        start = self._at
        if start + length > len(block):
            raise ProtocolError(COMPRESSION_ERROR, "a block of fields ends too early")
        self._at = start + length
        string = block[start : start + length]
        return huffman.decode(string, is_secret=is_secret) if is_huffman else string

    def _literal(self, block: bytes, statics: list[Field], mask: int, *, never: bool) -> Field:
        index = self._integer(block, mask)
        name = self._indexed(statics, index).name if index else self._string(block, is_secret=False)
        return Field(name, self._string(block, is_secret=never or name in SECRET), never=never)

    def _indexed(self, statics: list[Field], index: int) -> Field:
        if 0 < index <= _STATICS:
            return statics[index - 1]
        table = self._table
        if not index or index - _STATICS > len(table):
            raise ProtocolError(COMPRESSION_ERROR, "an index is in no table")
        return table[len(table) + _STATICS - index]

    def _insert(self, field: Field) -> None:
        """Insert a field (section 4.4): one that is larger than the table empties it."""
        size = len(field.name) + len(field.value) + OVERHEAD
        self._evict(self._capacity - size)
        if size <= self._capacity:
            self._table.append(field)
            self._size += size

    def _resize(self, capacity: int) -> None:
        if capacity > TABLE_SIZE:
            raise ProtocolError(COMPRESSION_ERROR, "the table's new size is larger than we have announced")
        self._capacity = capacity
        self._evict(capacity)

    def _evict(self, size: int) -> None:
        """Remove the oldest fields until the others have no more than this size."""
        count = 0
        table = self._table
        while self._size > size and count < len(table):
            oldest = table[count]
            self._size -= len(oldest.name) + len(oldest.value) + OVERHEAD
            count += 1
        if count:
            del table[:count]


def _build_statics() -> list[Field]:
    _static_fields.extend([Field(name, value) for name, value in STATIC_TABLE])
    return _static_fields
