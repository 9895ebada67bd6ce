"""The connection of HTTP/2 for one request, such as a health check."""

from __future__ import annotations

import asyncio
from typing import cast
from unittest.mock import MagicMock

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.upstream.http2.single_request import SingleRequest, SingleResponse
from tests.ambassador.http2_support import GET, OK, block, data, headers, settings


async def test_acknowledgements_that_nobody_reads_do_not_pile_up() -> None:
    """While the transport is full no more is read and nothing is written; then the check goes on."""
    outcome: asyncio.Future[SingleResponse] = asyncio.get_running_loop().create_future()
    probe = SingleRequest(outcome, block(GET))
    transport = MagicMock()
    transport.is_closing.return_value = False
    probe.connection_made(cast("asyncio.BaseTransport", transport))
    probe.data_received(settings())
    transport.reset_mock()

    probe.pause_writing()
    probe.data_received(frames.ping_frame(b"pingpong", ack=False))
    assert (transport.write.called, transport.pause_reading.called) == (False, True)

    probe.resume_writing()
    assert (transport.write.called, transport.resume_reading.called) == (True, True)
    probe.data_received(headers(1, OK, end=False) + data(1, b"up", end=True))
    assert outcome.result().body == b"up"
