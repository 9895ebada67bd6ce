"""A packed batch is the batch that it was made of: key, sizes and halves are the same, and each record can be had."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.packed_batch import Hollow, PackedBatch, without_texts
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.s3.object_keys import Places
from sidecars.logshipper.sinks.s3.object_pack import ObjectPack
from tests.logshipper.pipelines import make_pipeline
from tests.logshipper.support import a_chunk

TENANTS = st.sampled_from(["a", "b", "c"])
BATCHES = st.lists(st.lists(st.tuples(TENANTS, st.text(max_size=5)), min_size=1, max_size=6), min_size=1, max_size=4)


def both(chunks: list[list[tuple[str, str]]], algorithm: str) -> tuple[Batch, PackedBatch]:
    """Return a batch of lines in JSON, and its packed form, with an object for each tenant."""
    records, start = [], 0
    process = make_pipeline(FORMAT="json").process
    for lines in chunks:
        data = "".join(json.dumps({"tenant": tenant, "message": text}) + "\n" for tenant, text in lines).encode()
        records.append(process(a_chunk(data, start)))
        start += len(data)
    pack = ObjectPack("default", 7, Places("{tenant}/"), algorithm, ndjson.encode)
    for each in records:
        pack.add(each)
    pack.finish()
    light = PackedBatch("default", tuple(map(without_texts, records)), 7, pack=pack)
    return Batch("default", tuple(records), 7), light


@given(BATCHES, st.sampled_from(["none", "gzip", "zstd"]), st.data())
def test_a_packed_batch_and_its_parts_are_those_of_the_batch(
    chunks: list[list[tuple[str, str]]], algorithm: str, data: st.DataObject
) -> None:
    batch, packed = both(chunks, algorithm)
    chosen = sorted(data.draw(st.sets(st.integers(0, batch.events - 1), min_size=1)))
    for whole, light in ((batch, packed), (batch.select(chosen), packed.select(chosen))):
        assert (light.key, light.events, light.size, light.at) == (whole.key, whole.events, whole.size, whole.at)
        assert list(light.ids()) == list(whole.ids())
        lines = b"".join(ndjson.encode(whole)).splitlines(keepends=True)
        assert list(light.encoded_records(range(light.events))) == lines
        halves, light_halves = whole.halves(), light.halves()
        assert (halves is None) is (light_halves is None)
        assert [half.key for half in halves or ()] == [half.key for half in light_halves or ()]


@given(BATCHES)
def test_what_is_left_of_the_records_has_no_text(chunks: list[list[tuple[str, str]]]) -> None:
    _, packed = both(chunks, "gzip")
    for records in packed.records:
        assert records.chunk.data == b""
        assert records.chunk.size == sum(records.sizes)
        assert records.chunk.lines == len(records.bodies)
        assert not any(records.bodies)
        assert (records.fields, records.times, records.levels, records.raw) == (None, None, None, None)


def test_texts_that_are_forgotten_have_their_number_alone() -> None:
    hollow = Hollow(3)
    assert list(hollow) == ["", "", ""]
    assert len(hollow[1:]) == 2
    with pytest.raises(IndexError):
        hollow[3]
