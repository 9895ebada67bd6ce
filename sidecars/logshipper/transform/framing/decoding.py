"""Framing of files in other encodings than UTF-8: the lines are decoded first, and framed as UTF-8.

Each place in the decoded text that begins a line has its place in the file, so offsets and sizes stay those of the
file. In all ENCODINGS the byte 0A is a newline and nothing else: it is no second byte of a character in Shift JIS, GBK,
GB18030, Big5 and the EUC encodings.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from itertools import accumulate, pairwise

from sidecars.logshipper.model import utf16_cutting
from sidecars.logshipper.model.utf16_cutting import AUTO
from sidecars.logshipper.transform.framing.line_framing import Events, Framing

UTF8 = "utf-8"
BOM = "\ufeff"
ENCODINGS = (
    UTF8, AUTO, "utf-16le", "utf-16be",
    "ascii", "latin-1", "cp437", "cp850", "cp866", "koi8-r", "koi8-u", "mac-roman",
    *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
    *(f"windows-{page}" for page in (874, 932, 936, 949, 950, *range(1250, 1259))),
    "shift_jis", "euc-jp", "euc-kr", "gbk", "gb2312", "gb18030", "big5", "big5-hkscs",
)  # fmt: skip


def find(name: str) -> str:
    """Return the encoding of that name, as ENCODINGS has it. Raises ValueError if it is none of them."""
    lower = name.lower().replace("_", "-")
    for known in ENCODINGS:
        if lower in (known.replace("_", "-"), known.replace("windows-", "cp")):
            return known
    raise ValueError(f"expected one of {', '.join(ENCODINGS)}")


def codec(name: str) -> str:
    """Return the name that Python has for one of ENCODINGS; AUTO stays."""
    return name if name == AUTO else codecs.lookup(name.replace("windows-", "cp")).name


def split_last_line(data: bytes, encoding: str) -> tuple[bytes, str]:
    """Return the whole lines of the data, with their newlines, and the text of the line that has none yet."""
    if encoding in utf16_cutting.ENCODINGS:
        end = max(utf16_cutting.line_ends(data, encoding), default=0)
    else:
        end = data.rfind(b"\n") + 1
    return data[:end], data[end:].decode(encoding, "replace")


def without_first_line(data: bytes, encoding: str) -> bytes:
    """Return the data behind its first newline."""
    if encoding in utf16_cutting.ENCODINGS:
        return data[next(utf16_cutting.line_ends(data, encoding), len(data)) :]
    return data.partition(b"\n")[2]


class DecodedFraming:
    """Decodes lines for another framing, whose events are runs of lines. Bytes that are no text become U+FFFD."""

    def __init__(self, inner: Framing, encoding: str) -> None:
        self._inner = inner
        self._encoding = encoding
        self.boundary: Callable[[bytes], int] | None = self._boundary if inner.boundary else None

    def decode(self, data: bytes) -> str:
        """Return the text of bytes of a file."""
        return data.decode(self._encoding, "replace")

    def events(self, data: bytes, start: int) -> Events:
        text, places = self._decoded(data)
        events = self._inner.events(text, 0)
        offsets = [places[offset] for offset in events.offsets]
        sizes = [after - before for before, after in pairwise([*offsets, len(data)])]
        offsets = [start + offset for offset in offsets]
        return Events(events.bodies, offsets, sizes, events.counts, events.times, events.streams, events.attributes)

    def _boundary(self, block: bytes) -> int:
        text, places = self._decoded(block)
        return places[self._inner.boundary(text)] if self._inner.boundary else len(block)

    def _decoded(self, data: bytes) -> tuple[bytes, dict[int, int]]:
        """Return the data as UTF-8, and for each place in it that begins a line the place in `data`."""
        lines, width = data.split(b"\n"), 1
        if self._encoding in utf16_cutting.ENCODINGS:
            ends = [0, *utf16_cutting.line_ends(data, self._encoding)]
            lines, width = [*(data[begin : end - 2] for begin, end in pairwise(ends)), data[ends[-1] :]], 2
        texts = [self.decode(line).encode() for line in lines]
        decoded = accumulate((len(line) + 1 for line in texts), initial=0)
        original = accumulate((len(line) + width for line in lines), initial=0)
        places = dict(zip(decoded, original, strict=True))
        text = b"\n".join(texts)
        places[len(text)] = len(data)
        return text, places
