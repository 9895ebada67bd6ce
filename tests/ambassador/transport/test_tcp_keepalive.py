"""TCP keepalive: socket options, and the detection of a host that is gone by its tcp_info."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pytest

from sidecars.ambassador.transport.tcp_keepalive import acknowledges_nothing, is_unreachable, set_keepalive
from tests.ambassador.exchanges import Pair, Wire, tunnel_end


@pytest.mark.parametrize(
    ("seconds", "idle", "interval"), [(30.0, 30, 10), (0.5, 1, 1), (7200.0, 7200, 2400), (3.1, 4, 2)]
)
def test_the_kernel_counts_in_whole_seconds_and_never_in_none(seconds: float, idle: int, interval: int) -> None:
    with socket.socket() as own:
        set_keepalive(own, seconds)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [own.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [idle, interval, 3]


def test_a_unix_socket_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other:
        set_keepalive(one, 30.0)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        assert not is_unreachable(one, 30.0)


# -- a host that is gone while data is under way to it ------------------------------------------------------------


def info(*, retransmits: int = 0, probes: int = 0, last_ack: float = 0.0) -> bytes:
    """Return a tcp_info, as linux/tcp.h defines it; `last_ack` in seconds."""
    return struct.pack("=5B3x12I", 1, 0, retransmits, probes, 0, *range(12)) + struct.pack(
        "=2I", int(last_ack * 1000), 7
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (info(retransmits=8, last_ack=60), True),
        (info(retransmits=8, last_ack=59.9), False),
        (info(retransmits=0, last_ack=3600), False),
        (info(probes=8, last_ack=110), False),  # its window is closed, but it acknowledges our probes
        (info(retransmits=8, last_ack=60)[:-5], False),
        (b"", False),
    ],
    ids=["gone", "not yet", "nothing under way", "a peer that takes nothing", "an older kernel's", "nothing"],
)
def test_a_peer_is_gone_when_it_acknowledges_nothing_that_is_sent_again(*, said: bytes, expected: bool) -> None:
    assert acknowledges_nothing(said, 60.0) is expected


def test_a_live_peer_that_reads_nothing_is_not_taken_for_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = socket.create_connection(listener.getsockname())
        own, _ = listener.accept()
        with app, own:
            own.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    own.send(b"x" * 100_000)
            assert not is_unreachable(own, 0.001)


class Vanished(Wire):
    """A fake transport whose peer acknowledges nothing."""

    def get_extra_info(self, _name: str) -> Any:
        return self

    def getsockopt(self, *_: int) -> bytes:
        return info(retransmits=8, last_ack=61)


@pytest.mark.parametrize("gone", ["app", "upstream"])
def test_a_tunnel_to_a_host_that_is_gone_is_broken_off_though_both_ends_are_open(gone: str) -> None:
    wires = {end: Vanished() if end == gone else Wire() for end in ("app", "upstream")}
    with Pair() as pair:
        ours = tunnel_end(pair.upstream, wires["app"], inbound=True)
        ours.join(tunnel_end(pair.upstream, wires["upstream"], inbound=False), pair.endpoint)
        for second in range(10):
            ours.tick(float(second))
        assert wires["app"].aborted
        assert wires["upstream"].aborted
