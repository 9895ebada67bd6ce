"""Targets of the ways to an endpoint: the beginning of PostgreSQL's protocol, and the response of a proxy."""

from __future__ import annotations

from sidecars.ambassador.transport.ways.postgres import ClientStart, NotPostgres, ServerStart, fault_of_answer
from sidecars.chassis.http.proxy.connect_exchange import ConnectExchange, NotConnected
from tests.fuzz.registry import target


def _of_server(pieces: list[bytes]) -> tuple[bytes, bytes]:
    start = ServerStart()
    passed = b"".join([start.feed(piece) for piece in pieces])
    return passed + start.end(), start.key


def _of_client(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    start, begun = ClientStart(), b""
    try:
        for piece in pieces:
            if start.is_over:
                begun += piece
            else:
                begun += start.feed(piece)[1]
    except NotPostgres:
        return None
    return begun, start.cancel_key


@target("ambassador.transport.ways.postgres", reach=85, longest=2000)
def postgres_beginnings(data: bytes) -> None:
    """A server's bytes arrive, but for offers that need TLS, however they are cut; a client's arrive or are refused."""
    single = [data[at : at + 1] for at in range(len(data))]
    passed, key = _of_server([data])
    assert (passed, key) == _of_server(single)
    assert passed == data or (len(passed) < len(data) and b"\0\0\0\x0a" in data)
    assert b"-PLUS\0" not in passed or b"-PLUS\0" in data
    found = _of_client([data]) if data else None
    if found is not None:
        assert data.endswith(found[0])
        assert _of_client(single) == found
    assert data == b"S" or not data or fault_of_answer(data) is not None


@target("chassis.http.proxy.connect_exchange", reach=85)
def connect_responses(data: bytes) -> None:
    """What is behind a 2xx is the end of what came; anything else is refused, and no byte of it is repeated."""
    try:
        behind = ConnectExchange("orders.test:443", ()).feed(data)
    except NotConnected as refusal:
        assert str(refusal).isascii()
        assert len(str(refusal)) < 100
        return
    if behind is not None:
        assert data.endswith(behind)
        assert b" 2" in data[: len(data) - len(behind)]
