"""Conditional writes and keyed writes through the real program: repeated only if that is safe."""

from __future__ import annotations

import socket

from tests.ambassador.support import Ambassador, Backend, Peer, backends, joined, resetting
from tests.conftest import Start
from tests.support import free_port


def store(taken: list[bytes]) -> Backend:
    """A server that creates what is put, resets the connection of the first write, and answers 412 to a second one."""

    def handle(peer: Peer) -> None:
        while head := peer.head():
            peer.exactly(2)
            taken.append(head)
            if len(taken) == 1:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            status = b"412 Precondition Failed" if b"If-None-Match" in head else b"200 OK"
            peer.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    return Backend(handle)


def write(method: bytes, field: bytes) -> bytes:
    return b"%b / HTTP/1.1\r\nHost: a\r\n%bContent-Length: 2\r\n\r\nhi" % (method, field)


def test_a_put_that_creates_is_never_told_that_it_exists_already(start: Start) -> None:
    taken: list[bytes] = []
    backend = store(taken)
    ambassador = Ambassador(start, backend.url)
    assert ambassador.ask(write(b"PUT", b"If-None-Match: *\r\n"))[0] == 502
    assert len(taken) == 1
    backend.stop()


def test_a_post_with_a_key_is_repeated_after_a_reset(start: Start) -> None:
    taken: list[bytes] = []
    backend = store(taken)
    ambassador = Ambassador(start, backend.url)
    assert ambassador.ask(write(b"POST", b"Idempotency-Key: a\r\n"))[0] == 200
    assert len(taken) == 2
    backend.stop()


def test_a_conditional_put_that_was_never_written_goes_elsewhere(start: Start) -> None:
    taken: list[bytes] = [b"one before"]

    def handle(peer: Peer) -> None:
        while head := peer.head():
            peer.exactly(2)
            taken.append(head)
            peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with backends(handle) as (backend,):
        nobody = f"http://127.0.0.1:{free_port()}"
        ambassador = Ambassador(start, f"{nobody},{backend.url}", BALANCE="round_robin", EJECT_FOR="100ms")
        for _ in range(8):
            assert ambassador.ask(write(b"PUT", b"If-None-Match: *\r\n"))[0] == 201
        assert ambassador.metric("ambassador_upstream_retries_total") >= 1


def test_a_conditional_put_avoids_the_race_of_an_idle_connection(start: Start) -> None:
    with backends(resetting, resetting) as running:
        ambassador = Ambassador(start, joined(running))
        assert ambassador.ask(write(b"PUT", b'If-Match: "v1"\r\n'))[0] == 502
        assert sum(backend.connections for backend in running) == 1
