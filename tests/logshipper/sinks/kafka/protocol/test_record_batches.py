"""Record batches, read by aiokafka's parser: another implementation."""

from __future__ import annotations

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.kafka.protocol.record_batches import Segment, encode, encoded_key
from sidecars.logshipper.sinks.kafka.protocol.requests import Producer
from tests.logshipper.support import a_batch, a_chunk
from tests.support import examples

ALGORITHMS = ["none", "gzip", "snappy", "lz4", "zstd"]
Parsed = tuple[bytes, bytes | None, dict[str, bytes], int]


def parsed(blocks: list[bytes], sequence: int) -> list[Parsed]:
    """Return value, key, headers and time of each record of a record batch."""
    records = MemoryRecords(b"".join(blocks))
    batch = records.next_batch()
    assert batch is not None
    assert records.next_batch() is None
    assert batch.validate_crc()
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 3, sequence)
    assert batch.is_transactional
    found = list(batch)
    assert [record.offset for record in found] == list(range(len(found)))
    return [(record.value, record.key, dict(record.headers), record.timestamp) for record in found]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@examples(20)
@given(
    texts=st.lists(
        st.text(max_size=100).filter(lambda text: "\n" not in text and "\r" not in text), min_size=1, max_size=400
    ),
    start=st.integers(0, 2**40),
    key=st.none() | st.binary(max_size=200),
    times=st.none() | st.lists(st.integers(0, 2**45), min_size=150, max_size=150),
    most=st.integers(1000, 20_000),
    cuts=st.frozensets(st.integers(0, 150), max_size=5),
)
def test_every_event_is_one_record(  # noqa: PLR0917 - all that a record is made of
    algorithm: str,
    texts: list[str],
    start: int,
    key: bytes | None,
    times: list[int] | None,
    most: int,
    cuts: frozenset[int],
) -> None:
    data = "".join(f"{text}\n" for text in texts).encode()
    batch = a_batch(a_chunk(data, start, "9f2c"))
    (records,) = batch.records
    numbers = range(10, 10 + batch.events)
    stamps: int | list[int] = 1_764_464_523_456 if times is None else times[: batch.events]
    made = encode([Segment(records, numbers, encoded_key(key), stamps)], algorithm, cuts=cuts, most=most)
    assert [number for one in made for number in one.events] == list(numbers)
    assert all(one.events[0] == cut for one in made for cut in cuts.intersection(one.events))
    assert all(len(one.events) == 1 or sum(map(len, one.payload)) <= most for one in made if algorithm == "none")
    values = b"".join(ndjson.encode(batch)).split(b"\n")[:-1]
    found = [record for at, one in enumerate(made) for record in parsed(one.sealed(Producer("id", 7, 3), at), at)]
    expected = [
        (value, key, {"file": b"/logs/a%d.log", "input": b"default", "id": ident.encode()}, stamp)
        for value, ident, stamp in zip(
            values, batch.ids(), [stamps] * batch.events if isinstance(stamps, int) else stamps, strict=True
        )
    ]
    assert found == expected


def test_record_batches_are_as_full_as_they_may_be() -> None:
    batch = a_batch(a_chunk(b"".join(b"%d %s\n" % (number, b"x" * 200) for number in range(2000))))
    (records,) = batch.records
    sizes = [
        sum(map(len, one.payload)) for one in encode([Segment(records, range(2000), b"\x01", 0)], "none", most=50_000)
    ]
    assert max(sizes) <= 50_000
    assert min(sizes[:-1]) > 40_000


def test_each_record_may_have_a_key_of_its_own() -> None:
    batch = a_batch(a_chunk(b"1\n2\n3\n"))
    keys = [b"a", None, b"long" * 100]
    (made,) = encode([Segment(batch.records[0], range(3), [encoded_key(key) for key in keys], 0)], "none")
    assert [record[1] for record in parsed(made.sealed(Producer("id", 7, 3), 0), 0)] == keys
