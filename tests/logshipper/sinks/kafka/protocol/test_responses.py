"""Responses of brokers that are cut off, or have lengths that are not true."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.wire import MalformedResponse, Reader

READERS: dict[str, Callable[[Reader], Any]] = {
    "api versions": responses.api_versions,
    "metadata": lambda reader: responses.metadata(reader, 7),
    "coordinator": responses.coordinator,
    "producer id": responses.producer_id,
    "errors": responses.errors_by_partition,
    "offsets": responses.committed_offsets,
    "produced": lambda reader: responses.produced(reader, 8),
    "handshake": responses.sasl_handshake,
    "authenticate": lambda reader: responses.sasl_authenticate(reader, 1),
}


@pytest.mark.parametrize("kind", READERS)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_response_or_malformed(kind: str, data: bytes) -> None:
    with contextlib.suppress(MalformedResponse):
        READERS[kind](Reader(data))


@pytest.mark.parametrize("count", [2**31 - 1, 2**20])
def test_a_huge_array_costs_nothing(count: int) -> None:
    with pytest.raises(MalformedResponse, match="array of"):
        responses.sasl_handshake(Reader(struct.pack(">hi", 0, count) + b"\x00\x00"))


@pytest.mark.parametrize("size", [2**31 - 1, 500])
def test_a_huge_string_costs_nothing(size: int) -> None:
    with pytest.raises(MalformedResponse, match="field of"):
        Reader(struct.pack(">i", size) + b"x").byte_string()


def test_a_number_without_an_end_is_none() -> None:
    with pytest.raises(MalformedResponse, match="five bytes"):
        Reader(b"\x80" * 10).unsigned_varint()


def test_a_response_to_another_request_is_none() -> None:
    with pytest.raises(MalformedResponse, match="another number"):
        responses.body(struct.pack(">i", 8) + b"x", 7)


def test_null_is_empty() -> None:
    reader = Reader(struct.pack(">hii", -1, -1, -1) + b"\x00\x00")
    assert reader.string() == ""
    assert reader.byte_string() == b""
    assert reader.array(reader.int8) == []
    assert reader.compact_string() == ""
    assert reader.compact_array(reader.int8) == []


def test_every_version_is_one_that_brokers_share() -> None:
    """Those of 2.1 and 4.0: KIP-896, and the message definitions of Apache Kafka."""
    apis = [each for each in vars(requests).values() if isinstance(each, requests.Api)]
    assert len(apis) == 12
    assert all(0 <= api.lowest <= api.highest for api in apis)
