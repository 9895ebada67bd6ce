"""The real program between two ends of a TCP connection: bytes, ends and resets pass as they are."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.ambassador.support import GET, Ambassador, Peer, backends, resetting
from tests.conftest import Start
from tests.support import free_port, wait_until


def test_tcp_passes_any_bytes_and_each_end_by_itself(start: Start) -> None:
    def reverse(peer: Peer) -> None:
        peer.send(b"220 I speak first\r\n")
        peer.send(peer.rest()[::-1])

    with backends(reverse) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            assert peer.until(b"\n") == b"220 I speak first\r\n"
            peer.send(bytes(range(256)) * 5000)
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.rest() == (bytes(range(256)) * 5000)[::-1]
        wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open") == 0, "no connection left")


def test_tcp_goes_to_another_replica_when_one_refuses(start: Start) -> None:
    with backends(lambda peer: peer.send(b"hello")) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{free_port()},tcp://127.0.0.1:{backend.port}")
        for _ in range(6):
            with ambassador.connect() as peer:
                assert peer.rest() == b"hello"


def test_tcp_breaks_on_one_side_when_it_breaks_on_the_other(start: Start) -> None:
    with backends(resetting) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            peer.send(GET)
            with contextlib.suppress(ConnectionResetError):
                assert peer.rest() == b""
        wait_until(lambda: ambassador.metric("ambassador_downstream_connections_open") == 0, "no connection left")


def test_a_reset_in_a_tunnel_arrives_as_a_reset(start: Start) -> None:
    def half_then_reset(peer: Peer) -> None:
        peer.send(b"half")
        peer.exactly(1)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with backends(half_then_reset) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            assert peer.exactly(4) == b"half"
            peer.send(b"x")
            with pytest.raises(ConnectionResetError):
                peer.rest()


SILENCE = 1.5  # seconds: longer than the time between two looks at a tunnel


def respond_late(peer: Peer) -> None:
    """Wait for the end of what the other side sends, and for some time more."""
    data = peer.rest()
    threading.Event().wait(SILENCE)  # there is nothing to wait for: the silence is what is tested
    peer.send(b"late:" + data)


def test_a_tunnel_in_which_nothing_moves_ends_with_tunnel_idle_timeout_and_one_that_moves_does_not(
    start: Start,
) -> None:
    def echo(peer: Peer) -> None:
        while data := peer.exactly(1):
            peer.send(data)

    with backends(echo) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}", TUNNEL_IDLE_TIMEOUT="2s")
        with ambassador.connect() as busy, ambassador.connect() as silent:
            silent.send(b"a")
            assert silent.exactly(1) == b"a"
            ended = threading.Event()

            def await_end() -> None:
                with contextlib.suppress(ConnectionResetError):
                    silent.rest()
                ended.set()

            threading.Thread(target=await_end, daemon=True).start()

            def has_ended() -> bool:
                busy.send(b"b")
                assert busy.exactly(1) == b"b"
                return ended.is_set()

            wait_until(has_ended, "the end of the silent one")
        wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open") == 0, "no connection left")


def test_a_half_close_before_anything_moved_leaves_the_server_its_time_to_answer(start: Start) -> None:
    with backends(respond_late) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.rest() == b"late:"


def test_a_half_close_right_after_an_upgrade_leaves_the_server_its_time_to_answer(start: Start) -> None:
    def upgrade(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        respond_late(peer)

    with backends(upgrade) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert peer.head().startswith(b"HTTP/1.1 101 ")
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest() == b"late:"
