"""The target of logshipper's Kafka client: what brokers answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from sidecars.logshipper.sinks.kafka.protocol import responses
from sidecars.logshipper.sinks.kafka.protocol.wire import MalformedResponse, Reader
from tests.fuzz.registry import target

_RESPONSES: tuple[Callable[[Reader], Any], ...] = (
    responses.api_versions,
    lambda reader: responses.metadata(reader, 7),
    responses.coordinator,
    responses.producer_id,
    responses.errors_by_partition,
    responses.committed_offsets,
    lambda reader: responses.produced(reader, 8),
    responses.sasl_handshake,
    lambda reader: responses.sasl_authenticate(reader, 1),
)


@target("logshipper.sinks.kafka.protocol.responses", reach=80, longest=512)
def kafka_brokers(data: bytes) -> None:
    """A broker's bytes are a response or malformed, and cost no more than their number. The first byte is the kind."""
    reader = Reader(data[1:])
    with contextlib.suppress(MalformedResponse):
        found = _RESPONSES[(data[0] if data else 0) % len(_RESPONSES)](reader)
        assert len(repr(found)) <= 200 + 60 * len(data)
