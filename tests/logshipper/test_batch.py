"""How lines look as records, and what makes a repeat recognisable."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.batch import Batch, Part
from sidecars.logshipper.identity import tail_mark

_DATA = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b'"', b"\\", b"%d%s", b"\0", b"\xff", b"a", "ü😀".encode(), b"x" * 70_000])
    | st.binary(max_size=9),
    min_size=1,
    max_size=30,
).map(lambda pieces: b"".join(pieces) + b"\n")


def part(data: bytes, start: int = 0, file: str = "f00d", *, partial: bool = False) -> Part:
    return Part(file, "/logs/a%d.log", start, start, data, tail_mark(start + len(data), data), partial)


def records(batch: Batch, **fields: str) -> list[dict[str, Any]]:
    body = b"".join(batch.ndjson(fields))
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.split(b"\n")[:-1]]


@given(_DATA, st.integers(0, 2**40))
def test_every_line_is_one_record_with_its_offset_whatever_its_bytes(data: bytes, start: int) -> None:
    expected, offset = [], start
    for line in data.split(b"\n")[:-1]:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        expected.append({"id": f"f00d-{offset}", "file": "/logs/a%d.log", "pod": "100%", "message": text})
        offset += len(line) + 1
    assert records(Batch("default", (part(data, start),)), pod="100%") == expected


def test_a_file_name_may_have_any_bytes() -> None:
    name = os.fsdecode(b"/logs/\xff%s\n.log")
    batch = Batch("default", (Part("f00d", name, 0, 0, b"1\n", tail_mark(2, b"1\n")),))
    assert records(batch) == [{"id": "f00d-0", "file": "/logs/\ufffd%s\n.log", "message": "1"}]


def test_a_piece_of_a_line_is_marked_partial() -> None:
    first, second = part(b"half ", partial=True), part(b"done\n", 5)
    got = records(Batch("default", (first, second)))
    assert [(record["id"], record.get("partial"), record["message"]) for record in got] == [
        ("f00d-0", True, "half "),
        ("f00d-5", None, "done"),
    ]


def test_raw_lines_are_as_they_were_and_pieces_end_with_a_newline() -> None:
    batch = Batch("default", (part(b"a\r\n\xff\n"), part(b"half", 5, partial=True), part(b"b\n", 0, "beef")))
    assert b"".join(batch.raw()) == b"a\r\n\xff\nhalf\nb\n"
    assert batch.lines == 4


def test_the_key_is_that_of_sink_generation_and_range() -> None:
    key = Batch("default", (part(b"a\n"),)).key
    assert key == Batch("default", (part(b"b\n"),)).key, "the same range holds the same bytes"
    others = [
        Batch("other", (part(b"a\n"),)),
        Batch("default", (part(b"a\n", 1),)),
        Batch("default", (part(b"ab\n"),)),
        Batch("default", (part(b"a\n", file="beef"),)),
    ]
    assert key not in {batch.key for batch in others}


@given(st.lists(st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1, max_size=12))
def test_halves_make_the_whole_and_end_with_single_lines(lines: list[bytes]) -> None:
    def leaves(batch: Batch) -> list[Batch]:
        halves = batch.halves()
        return leaves(halves[0]) + leaves(halves[1]) if halves else [batch]

    whole = Batch("default", (part(b"".join(lines[:5]), 100), part(b"".join(lines), 0, "beef")))
    if not whole.parts[0].data:
        whole = Batch("default", whole.parts[1:])
    pieces = leaves(whole)
    assert [b"".join(piece.raw()) for piece in pieces] == lines[:5] + lines
    assert [record for piece in pieces for record in records(piece)] == records(whole)
