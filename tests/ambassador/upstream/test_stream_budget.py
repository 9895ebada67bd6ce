"""The streams of all connections of HTTP/2 have a limit together: three for each place of MAX_CONNECTIONS."""

from __future__ import annotations

from typing import cast

from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.frames import REFUSED_STREAM, RST_STREAM
from sidecars.ambassador.memory import ledger
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.upstream.client_registry import AppConnection, ClientRegistry
from sidecars.chassis.config.settings import load
from tests.ambassador.balancing_support import settings
from tests.ambassador.http2_support import GET, POST, Recorder, codes, headers, server, written


def connected(registry: ClientRegistry) -> tuple[Connection, Recorder]:
    connection, recorder = server()
    connection.budget = registry
    registry.add(cast("AppConnection", connection))
    return connection, recorder


def test_a_request_beyond_the_limit_is_refused_and_none_of_the_others_is_harmed() -> None:
    registry = ClientRegistry(settings(MAX_CONNECTIONS="4"), Defects(), lambda: None)
    first, recorder = connected(registry)
    second, other = connected(registry)
    for number in range(5):
        first.receive(headers(2 * number + 1, POST, end=False))
    for number in range(5):
        second.receive(headers(2 * number + 1, GET))
    assert registry.streams == 9  # three places are left beside two connections, with one of them to spare
    assert len(recorder.messages) == 5
    assert len(other.messages) == 4
    assert codes(written(second), RST_STREAM) == [REFUSED_STREAM]
    first.release(recorder.streams[1])
    second.receive(headers(11, GET))
    assert 11 in other.messages


def test_a_refusal_because_of_others_is_no_work_that_ends_the_connection() -> None:
    registry = ClientRegistry(settings(MAX_CONNECTIONS="1"), Defects(), lambda: None)
    connection, recorder = connected(registry)
    for number in range(2000):
        connection.receive(headers(2 * number + 1, POST, end=False))
        connection.output()
    assert recorder.broken is None
    assert len(recorder.messages) == 3
    for stream in recorder.streams.values():
        connection.release(stream)
    assert registry.streams == 0


def test_the_memory_ledger_has_the_connections_to_endpoints_that_carry_all_streams() -> None:
    def connections(**environ: str) -> int:
        given = {f"AMBASSADOR_{name}": value for name, value in {"UPSTREAM": "h2c://orders", **environ}.items()}
        entries = ledger(load(Settings, given)).entries
        (found,) = [entry.count for entry in entries if entry.what.startswith("connections of HTTP/2 to")]
        return found

    assert connections() == 123  # 4,096 places with three streams each, and 100 streams a connection
    assert connections(MAX_CONNECTIONS="100") == 16
