"""Line cutting: the cut of a block of bytes, for lines, pieces and holes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecars.logshipper.model.line_cutting import Cut, Ending, cut, piece_before_hole


@pytest.mark.parametrize(
    ("block", "ending", "expected"),
    [
        (b"", Ending.OPEN, Cut()),
        (b"a\nb\n", Ending.OPEN, Cut(end=4)),
        (b"a\nb", Ending.OPEN, Cut(end=2)),
        (b"ab", Ending.OPEN, Cut()),
        (b"\n\n", Ending.OPEN, Cut(end=2)),
        (b"ab", Ending.OVER, Cut(end=2, partial=True)),
        (b"a\nb", Ending.OVER, Cut(end=2)),
        (b"\0\0\0a\n", Ending.OPEN, Cut(hole=3, end=5)),
        (b"\0\0\0a", Ending.OPEN, Cut(hole=3)),
        (b"\0\0\0", Ending.OPEN, Cut(blank=True)),
        (b"\0\0\0a\0", Ending.OPEN, Cut(hole=3)),
        (b"a\0\0", Ending.OPEN, Cut(blank=True)),
        (b"a\n\0\0", Ending.OPEN, Cut(end=2)),
        (b"a\n\0\0b\n", Ending.OPEN, Cut(end=2)),
        (b"a\0b\n", Ending.OPEN, Cut(end=4)),
        (b"0123456789", Ending.OPEN, Cut(end=8, partial=True)),
        (b"a\n0123456789\n", Ending.OPEN, Cut(end=2)),
        (b"0123456789\n", Ending.OPEN, Cut(end=8, partial=True)),
        (b"01234567\n", Ending.OPEN, Cut(end=9)),
        ("123456üü".encode(), Ending.OPEN, Cut(end=8, partial=True)),
        ("1234567üü".encode(), Ending.OPEN, Cut(end=7, partial=True)),
        (b"1234567\r\nx", Ending.OPEN, Cut(end=9)),
        (b"12345678\r\n", Ending.OPEN, Cut(end=8, partial=True)),
        (b"1234567\r5", Ending.OPEN, Cut(end=7, partial=True)),
        (b"ab\xc3", Ending.PAUSE, Cut(end=2, partial=True)),
        (b"ab\xc3", Ending.OVER, Cut(end=3, partial=True)),
        (b"\xf0\x9f\x98", Ending.PAUSE, Cut()),
    ],
)
def test_what_is_shipped_of_a_chunk_when_lines_may_have_eight_bytes(
    block: bytes, ending: Ending, expected: Cut
) -> None:
    assert cut(block, 8, ending) == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [(b"ab\0\0", Cut(end=2, partial=True)), (b"\0ab\0", Cut(hole=1, end=3, partial=True)), (b"\0\0", Cut(hole=2))],
)
def test_an_unfinished_line_before_a_hole_is_shipped_as_a_piece(block: bytes, expected: Cut) -> None:
    assert piece_before_hole(block) == expected


_TEXT = st.binary(max_size=80) | st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\0", b"\0\0\0", b"a", "ü".encode(), "😀".encode(), b"0123456789", b"\xff"]),
    max_size=30,
).map(b"".join)


@given(_TEXT, st.integers(1, 12), st.integers(1, 20))
@example(b"\1\0\0\0", 1, 1)
def test_nothing_is_lost_or_shipped_twice_whatever_the_bytes_and_the_chunks(data: bytes, limit: int, room: int) -> None:
    """Read a file that has ended: pieces and holes together are the whole file, and no piece exceeds the limit."""
    room, at, shipped = max(room, limit + 2), 0, b""
    while at < len(data):
        block = data[at : at + room]
        whole = at + len(block) == len(data)
        part = cut(block, limit, Ending.OVER if whole else Ending.OPEN)
        if part.blank and data[at + len(block) :].strip(b"\0"):
            part = piece_before_hole(block)
        elif part.blank:
            part = cut(block, limit, Ending.OVER)
        if not part.end and not part.hole:
            break
        stop = max(part.end, part.hole)
        assert not block[: part.hole].strip(b"\0")
        piece = block[part.hole : stop]
        assert part.partial or not piece or piece.endswith(b"\n")
        assert all(len(line) <= limit for line in piece.split(b"\n"))
        shipped += block[:stop]
        at += stop
    assert shipped == data[:at]
    assert not data[at:].strip(b"\0"), "only NULs may be left"
