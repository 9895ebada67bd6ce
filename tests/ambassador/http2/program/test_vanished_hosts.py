"""A host that vanishes without a word ends its streams with UNAVAILABLE; one that is alive and silent ends none.

A filter of the kernel that drops every segment (SO_ATTACH_FILTER) makes a host on loopback vanish: nothing that comes
is acknowledged, and nothing is closed. It needs no privileges.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RESPONSE, RawServer, Session, serving
from tests.ambassador.support import Ambassador
from tests.conftest import Start

WATCH = b"/shop.v1.Orders/Watch"
SO_ATTACH_FILTER = 26  # linux/socket.h
RETURN_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K: of each packet take 0 bytes


def vanish(own: socket.socket) -> None:
    """Drop every segment that comes for this socket."""
    code = ctypes.create_string_buffer(RETURN_NOTHING)
    own.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(code)))


def watching(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"first")))


def watch(app: Connection, server: RawServer) -> None:
    """Open a stream that has its first message, and then is quiet."""
    app.send(raw.headers(1, raw.call(WATCH), raw.END_HEADERS))
    app.send(raw.data(1, raw.message(b"x"), raw.END_STREAM))
    assert app.until(raw.DATA) is not None
    assert len(server.sessions) == 1


@pytest.mark.parametrize("under_way", ["nothing", "a call"])
def test_the_streams_of_a_host_that_has_vanished_end_with_unavailable(start: Start, under_way: str) -> None:
    """TCP keepalive finds it while nothing is under way, and TCP_INFO while bytes are sent again and again."""
    with serving(watching) as server:
        ambassador = Ambassador(start, server.url, TCP_KEEPALIVE="1s")
        with Connection.to(ambassador.port) as app:
            watch(app, server)
            vanish(server.sessions[0].socket)
            if under_way == "a call":
                app.send(raw.headers(3, raw.call(WATCH)))
            ended = app.message(1)
            assert ended is not None
            assert ended.grpc_status == 14
            assert app.goaways == []


def test_the_stream_of_a_host_that_is_alive_and_silent_goes_on(start: Start) -> None:
    """Its kernel acknowledges probes, though its process reads nothing."""
    over = threading.Event()

    def hang(session: Session) -> None:
        stream = session.request()
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"first")))
        over.wait(60)
        session.send(raw.headers(stream, [(b"grpc-status", b"0")]))

    with serving(hang) as server:
        ambassador = Ambassador(start, server.url, TCP_KEEPALIVE="1s")
        with Connection.to(ambassador.port) as app:
            watch(app, server)
            for stream in range(3, 33, 2):  # bytes that the process does not read, for one and a half times the limit
                app.send(raw.headers(stream, raw.call(WATCH)))
                threading.Event().wait(0.2)
            assert ambassador.metric("ambassador_upstream_connections_open") == 1
            over.set()
            ended = app.message(1)
            assert ended is not None
            assert ended.grpc_status == 0
