"""The partition of a key: the values of Kafka's own tests, and aiokafka's function."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.kafka.protocol.murmur2 import murmur2, partition_of

KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KNOWN)
def test_the_values_of_the_java_client(key: bytes) -> None:
    assert murmur2(key) == KNOWN[key] % 2**32


@given(st.binary(max_size=64), st.integers(1, 1000))
def test_the_hash_of_another_client(key: bytes, partitions: int) -> None:
    assert murmur2(key) == theirs(key) % 2**32
    assert 0 <= partition_of(key, partitions) < partitions
