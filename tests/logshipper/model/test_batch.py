"""Batches: the records of lines, and the keys and ids that make a repeat recognisable."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.sinks.encodings import ndjson
from tests.logshipper.support import a_batch, a_chunk

_DATA = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b'"', b"\\", b"%d%s", b"\0", b"\xff", b"a", "ü😀".encode(), b"x" * 70_000])
    | st.binary(max_size=9),
    min_size=1,
    max_size=30,
).map(lambda pieces: b"".join(pieces) + b"\n")


def records(batch: Batch) -> list[dict[str, Any]]:
    body = b"".join(ndjson.encode(batch))
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.split(b"\n")[:-1]]


@given(_DATA, st.integers(0, 2**40))
def test_every_line_is_one_record_with_its_offset_whatever_its_bytes(data: bytes, start: int) -> None:
    expected, offset = [], start
    for line in data.split(b"\n")[:-1]:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        expected.append({"id": f"f00d-{offset}", "file": "/logs/a%d.log", "pod": "100%", "message": text})
        offset += len(line) + 1
    assert records(a_batch(a_chunk(data, start), pod="100%")) == expected


def test_a_file_name_may_have_any_bytes() -> None:
    name = os.fsdecode(b"/logs/\xff%s\n.log")
    batch = a_batch(Chunk("f00d", name, 0, 0, b"1\n", position_fingerprint(2, b"1\n")))
    assert records(batch) == [{"id": "f00d-0", "file": "/logs/\ufffd%s\n.log", "message": "1"}]


def test_a_piece_of_a_line_is_marked_partial() -> None:
    first, second = a_chunk(b"half ", partial=True), a_chunk(b"done\n", 5)
    got = records(a_batch(first, second))
    assert [(record["id"], record.get("partial"), record["message"]) for record in got] == [
        ("f00d-0+5", True, "half "),
        ("f00d-5", None, "done"),
    ]


def test_raw_lines_are_as_they_were_and_pieces_end_with_a_newline() -> None:
    batch = a_batch(a_chunk(b"a\r\n\xff\n"), a_chunk(b"half", 5, partial=True), a_chunk(b"b\n", 0, "beef"))
    assert b"".join(batch.raw()) == b"a\r\n\xff\nhalf\nb\n"
    assert batch.events == 4


def test_the_key_of_the_ranges_differs_for_each_range_and_for_each_part_of_it() -> None:
    whole = a_batch(a_chunk(b"a\nb\nc\n"), a_chunk(b"d\n", 6))
    others = [
        a_batch(a_chunk(b"a\nb\nc\n")),
        a_batch(a_chunk(b"a\nb\nc\n", 6)),
        a_batch(a_chunk(b"a\nb\nc\n", 0, "beef")),
    ]
    others += [whole.select([0]), whole.select([0, 1]), whole.select([1]), whole.select([3]), whole.select([0, 1, 2])]
    keys = {batch.range_key for batch in others}
    assert len(keys) == 7, "two are the same: the first chunk alone"
    assert whole.range_key not in keys


def test_the_key_is_that_of_sink_generation_and_range() -> None:
    key = a_batch(a_chunk(b"a\n")).key
    assert key == a_batch(a_chunk(b"b\n")).key, "the same range holds the same bytes"
    others = [
        Batch("other", a_batch(a_chunk(b"a\n")).records),
        a_batch(a_chunk(b"a\n", 1)),
        a_batch(a_chunk(b"ab\n")),
        a_batch(a_chunk(b"a\n", generation="beef")),
        a_batch(a_chunk(b"a\nb\n")).select([0]),
    ]
    assert key not in {batch.key for batch in others}


_LINES = st.lists(st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1, max_size=12)


@given(_LINES)
def test_halves_make_the_whole_and_end_with_single_events(lines: list[bytes]) -> None:
    def leaves(batch: Batch) -> list[Batch]:
        halves = batch.halves()
        return leaves(halves[0]) + leaves(halves[1]) if halves else [batch]

    whole = a_batch(a_chunk(b"".join(lines[:5]), 100), a_chunk(b"".join(lines), 0, "beef"))
    pieces = leaves(whole)
    assert [piece.events for piece in pieces] == [1] * len(lines[:5] + lines)
    assert [record for piece in pieces for record in records(piece)] == records(whole)


@given(_LINES, st.data())
def test_chosen_events_keep_their_ids_and_are_found_by_their_new_index(lines: list[bytes], data: st.DataObject) -> None:
    whole = a_batch(a_chunk(b"".join(lines), 100), a_chunk(b"x\n" + b"".join(lines), 0, "beef", partial=True))
    indices = sorted(data.draw(st.sets(st.integers(0, whole.events - 1))))
    chosen = whole.select(indices)
    ids = list(whole.ids())
    assert list(chosen.ids()) == [ids[index] for index in indices]
    assert [record["id"] for record in records(chosen)] == list(chosen.ids()) if indices else not chosen.events
    for new, old in enumerate(indices):
        (here, at), (there, origin) = chosen.find(new), whole.find(old)
        assert here.extent(at) == there.extent(origin)
