"""A trial that ends for a reason of ours or of the app decides nothing: the next request is the trial."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidecars.ambassador.balancing.outlier_ejection import PROBATION, TRIAL
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.tcp.tcp_connection import TcpConnection
from tests.ambassador.exchanges import Pair, Wire
from tests.ambassador.support import GET


def on_trial(pair: Pair) -> None:
    """Bring the only endpoint into PROBATION: the next request is its trial."""
    balancer, now = pair.upstream.balancer, pair.client.since
    balancer.on_failure(pair.endpoint, now - 60.0, now - 60.0, unreachable=True)
    balancer.tick(now)
    assert pair.endpoint.ejection.state is PROBATION


def broken(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("a defect of a test")


def malformed_body(pair: Pair) -> None:
    pair.client.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert pair.endpoint.ejection.state is TRIAL
    pair.client.data_received(b"no size\r\n")
    assert pair.app.written.startswith(b"HTTP/1.1 400 ")


def too_many_wait(pair: Pair) -> None:
    """Let another request wait for a connection to open, after it has left the trial to the next one."""
    pair.idle.clear()
    other = ClientConnection(pair.upstream)
    other.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
    other.data_received(GET)
    pair.upstream.balancer.on_inconclusive(pair.endpoint, pair.client.since)
    pair.client.data_received(GET)
    assert pair.app.written.startswith(b"HTTP/1.1 503 ")
    other.connection_lost(None)


def defect(pair: Pair) -> None:
    pair.there.write = broken  # type: ignore[method-assign] # that is the defect
    pair.client.data_received(GET)
    assert pair.app.written.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("end", [malformed_body, too_many_wait, defect])
def test_an_end_that_says_nothing_of_the_endpoint_is_no_failed_trial(end: Callable[[Pair], None]) -> None:
    with Pair(AMBASSADOR_MAX_PENDING="1") as pair:
        on_trial(pair)
        end(pair)
        assert pair.endpoint.ejection.state is PROBATION
        assert pair.endpoint.pending == 0


def test_a_defect_in_connecting_a_tunnel_leaves_nothing_behind() -> None:
    with Pair() as pair:
        on_trial(pair)
        pair.loop.create_connection = broken  # type: ignore[method-assign] # that is the defect
        tunnel = TcpConnection(pair.upstream)
        wire = Wire()
        tunnel.connection_made(wire)  # type: ignore[arg-type] # a fake transport
        pair.loop.run_until_complete(asyncio.sleep(0))
        assert wire.aborted
        assert pair.upstream.defects.count == 1
        assert pair.endpoint.pending == 0
        assert pair.endpoint.ejection.state is PROBATION
