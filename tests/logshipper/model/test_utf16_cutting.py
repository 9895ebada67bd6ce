"""Cutting of UTF-16: newlines are code units, pieces are characters, and nothing is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model import utf16_cutting
from sidecars.logshipper.model.line_cutting import Cut, Ending
from sidecars.logshipper.model.utf16_cutting import BIG, LITTLE, cut

_BOTH = pytest.mark.parametrize("encoding", [LITTLE, BIG])
_CHARS = st.sampled_from(["a", "\n", "\n", "\u0a0d", "\u0a00", "\u4e0a", "\u0100", "\U0001f600", "\r"])


@_BOTH
def test_a_newline_is_a_whole_code_unit(encoding: str) -> None:
    text = "\u0a0d\u4e0a\u0a41\u4e00 x\n\u000a\u0a00rest"
    data = text.encode(encoding)
    ends = list(utf16_cutting.line_ends(data, encoding))
    lines = [data[begin:end].decode(encoding) for begin, end in pairwise([0, *ends])]
    assert lines == ["\u0a0d\u4e0a\u0a41\u4e00 x\n", "\n"]
    assert cut(data, 1000, Ending.OPEN, encoding) == Cut(0, ends[-1])
    assert utf16_cutting.first_lines(data, 1, encoding) == data[: ends[0]]


@_BOTH
@given(st.lists(_CHARS, max_size=30).map("".join), st.integers(4, 20), st.integers(1, 64))
def test_a_file_is_cut_into_its_characters_whatever_the_blocks_are(
    encoding: str, text: str, limit: int, block: int
) -> None:
    data, at, got = text.encode(encoding), 0, []
    while at < len(data):
        size = min(block, len(data) - at)
        one = cut(data[at : at + size], limit, Ending.OVER if at + size == len(data) else Ending.OPEN, encoding)
        if not one.end:
            block += 2
            continue
        assert one.hole == 0
        got.append(data[at : at + one.end].decode(encoding))  # no torn character
        assert one.partial == (not got[-1].endswith("\n"))
        at += one.end
    assert "".join(got) == text
    assert all(len(line.encode(encoding)) <= limit + 4 for each in got for line in each.split("\n"))


@_BOTH
def test_nuls_at_the_beginning_are_a_hole_in_pairs(encoding: str) -> None:
    data = b"\0" * 10 + "\u0100a\n".encode(encoding)
    assert cut(data, 100, Ending.OPEN, encoding) == Cut(10, 16)
    assert cut(b"\0" * 7, 100, Ending.OPEN, encoding).blank
    assert cut("ab".encode(encoding), 100, Ending.OPEN, encoding) == Cut()
    assert cut("ab".encode(encoding), 100, Ending.OVER, encoding) == Cut(0, 4, partial=True)


def test_the_mark_tells_the_encoding() -> None:
    assert utf16_cutting.of_file(b"\xff\xfea\0") == LITTLE
    assert utf16_cutting.of_file(b"\xfe\xff\0a") == BIG
    assert utf16_cutting.of_file(b"\xef\xbb\xbfa") == utf16_cutting.of_file(b"") == "utf-8"


@pytest.mark.parametrize(
    ("data", "encoding", "before"),
    [
        (b"ab\0\0", "utf-8", b"ab"),
        (b"a\0b\0", "utf-16-le", b"a\0b\0"),
        (b"a\0b", "utf-16-le", b"a\0"),
        (b"a\0b\0\0\0", "utf-16-le", b"a\0"),  # the last character before the NULs may be unfinished
        (b"a\0\0\x01b\0", "utf-16-le", b"a\0\0\x01b\0"),  # U+0100
        (b"\0\0", "utf-16-be", b""),
        (b"\x01\0\0a\0\0", "utf-16-be", b"\x01\0"),
    ],
)
def test_the_bytes_before_the_first_nul_that_may_change(data: bytes, encoding: str, before: bytes) -> None:
    assert utf16_cutting.before_nul(data, encoding) == before
    assert utf16_cutting.is_settled(data, len(data), encoding) == (before == data)


@pytest.mark.parametrize("encoding", ["utf-8", *utf16_cutting.ENCODINGS])
@pytest.mark.parametrize(("text", "behind"), [("", 0), ("a\u0a0d", 0), ("a\nb\u4e0a", 2), ("a\n\n", 3)])
def test_the_end_of_the_last_line(text: str, behind: int, encoding: str) -> None:
    size = len(text[:behind].encode(encoding))
    assert utf16_cutting.after_last_line(text.encode(encoding), encoding) == size


@_BOTH
def test_a_file_that_was_in_utf_16_is_in_utf_8_if_its_beginning_is_text_of_that(encoding: str) -> None:
    assert utf16_cutting.of_file(b"", encoding) == encoding
    for first in (b"a", b"10:00 \xc3\xbc\n", ("ü" * 64).encode()[: utf16_cutting.HEAD - 1]):
        assert utf16_cutting.of_file(first, encoding) == "utf-8"
    for text in ("10:00 ü\n", "\u4e0a\n", "\u0a0d ü", "ü"):
        assert utf16_cutting.of_file(text.encode(encoding), encoding) == encoding
    assert utf16_cutting.of_file(b"\xef\xbb\xbfa", encoding) == "utf-8"
