"""Protobuf, compared with the official library."""

from __future__ import annotations

import contextlib

from google.protobuf.wrappers_pb2 import UInt64Value
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from sidecars.chassis.protobuf import VARINT, padded_varint, parse_fields, varint

_TAG = b"\x08"  # field 1, a varint


@given(st.integers(1, 2**64 - 1))
def test_a_varint_is_that_of_the_official_library(number: int) -> None:
    assert _TAG + varint(number) == UInt64Value(value=number).SerializeToString()
    assert VARINT[number] == varint(number)


@given(st.integers(0, 2**35 - 1))
def test_a_padded_varint_means_the_same(number: int) -> None:
    for padding in (
        padded_varint(number, 5),
        padded_varint(number % 2**14, 2, goes_on=True) + padded_varint(number >> 14, 3),
    ):
        assert len(padding) == 5
        assert UInt64Value.FromString(_TAG + padding).value == number


@given(st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_a_message_is_read_as_it_was_written(count: int, text: str) -> None:
    message = ExportLogsServiceResponse()
    message.partial_success.rejected_log_records = count
    message.partial_success.error_message = text
    ((number, inner),) = parse_fields(message.SerializeToString())
    assert number == 1
    assert isinstance(inner, bytes)
    assert dict(parse_fields(inner)) == {
        field: value for field, value in ((1, count), (2, text.encode())) if value not in (0, b"")
    }


@given(st.binary(max_size=40))
def test_what_is_no_message_is_an_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        list(parse_fields(data))
