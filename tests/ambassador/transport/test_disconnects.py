"""An app that closes its connection is distinguished from one that only ends its sending direction."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecars.ambassador.transport import disconnects
from sidecars.ambassador.transport.disconnects import Disconnects, ProcNetTcp, SockDiag, encode_query, parse_inode
from tests.support import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Accepted:
    """A fake transport: a socket, and the addresses of both ends."""

    def __init__(self, own: socket.socket) -> None:
        self._known = {"socket": own, "sockname": own.getsockname(), "peername": own.getpeername()}

    def get_extra_info(self, name: str) -> Any:
        return self._known[name]


@contextlib.contextmanager
def asking(*ways: Callable[[], Any]) -> Iterator[Disconnects]:
    asked = Disconnects(ways)
    try:
        yield asked
    finally:
        asked.close()


@contextlib.contextmanager
def connection(kind: str, folder: Path) -> Iterator[tuple[socket.socket, Accepted]]:
    """A connection of this kind: the app's end, and ours."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX) if kind == "unix" else listening(kind))
        if kind == "unix":
            listener.bind(str(folder / "sock"))
            listener.listen()
        place = listener.getsockname()
        app = stack.enter_context(socket.socket(socket.AF_UNIX if kind == "unix" else FAMILIES[kind]))
        app.connect(place if kind != "mapped" else ("127.0.0.1", place[1]))
        own = stack.enter_context(listener.accept()[0])
        yield app, Accepted(own)


FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6, "mapped": socket.AF_INET}


def listening(kind: str) -> socket.socket:
    if kind == "IPv4":
        return socket.create_server(("127.0.0.1", 0))
    return socket.create_server(
        ("::1" if kind == "IPv6" else "::", 0), family=socket.AF_INET6, dualstack_ipv6=kind == "mapped"
    )


@pytest.mark.parametrize(
    "way", [SockDiag, lambda: ProcNetTcp(clock=iter(sorted([*range(100)] * 2)).__next__)], ids=["sock_diag", "proc"]
)
@pytest.mark.parametrize("kind", ["IPv4", "IPv6", "mapped"])
def test_a_closed_connection_is_told_from_a_half_closed_one(kind: str, way: Callable[[], Any], tmp_path: Path) -> None:
    with connection(kind, tmp_path) as (app, own), asking(way) as asked:
        seen = [asked.has_closed(own)]
        app.shutdown(socket.SHUT_WR)
        seen.append(asked.has_closed(own))
        app.close()
        assert [*seen, asked.has_closed(own)] == [False, False, True]
        assert asked.has_closed(own)  # and so it stays


def test_an_end_that_another_process_still_holds_is_not_closed(tmp_path: Path) -> None:
    with connection("IPv4", tmp_path) as (app, own), app.dup() as inherited, asking(SockDiag) as asked:
        app.close()
        assert not asked.has_closed(own)
        inherited.close()
        assert asked.has_closed(own)


def test_a_closed_unix_socket_is_told_from_a_half_closed_one(tmp_path: Path) -> None:
    with connection("unix", tmp_path) as (app, own):
        app.shutdown(socket.SHUT_WR)
        assert not Disconnects(()).has_closed(own)
        app.close()
        assert Disconnects(()).has_closed(own)


def test_a_reset_connection_is_closed_whatever_the_kernel_refuses_to_tell(tmp_path: Path) -> None:
    with connection("IPv4", tmp_path) as (app, own):
        app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        app.close()
        assert Disconnects(()).has_closed(own)


def test_a_way_that_fails_for_want_of_descriptors_is_tried_again(tmp_path: Path) -> None:
    full = [True]

    def exhausted() -> Any:
        if full[0]:
            raise OSError(errno.EMFILE, "too many open files")
        return SockDiag()

    with connection("IPv4", tmp_path) as (app, own), asking(exhausted) as asked:
        app.close()
        assert not asked.has_closed(own)
        full[0] = False
        assert asked.has_closed(own)


def test_where_the_kernel_tells_nothing_every_end_is_taken_for_a_half_close(tmp_path: Path) -> None:
    def refused() -> Any:
        raise PermissionError

    class KnowsNothing(ProcNetTcp):
        def __call__(self, local: Any, remote: Any) -> None:
            pass

    with connection("IPv4", tmp_path) as (app, own):
        app.close()
        with asking(refused, KnowsNothing) as asked:
            assert not asked.has_closed(own)
        with asking(refused, KnowsNothing, SockDiag) as asked:
            assert asked.has_closed(own)


def test_a_peer_of_another_host_is_never_asked_about() -> None:
    class Remote:
        def __init__(self, own: socket.socket) -> None:
            self._own = own

        def get_extra_info(self, name: str) -> Any:
            return {"sockname": ("10.0.0.1", 80), "peername": ("10.0.0.2", 40000)}.get(name, self._own)

    def unasked() -> Any:
        raise AssertionError

    with socket.create_server(("127.0.0.1", 0)) as own:
        assert not Disconnects((unasked,)).has_closed(Remote(own))


def test_a_listening_socket_is_not_taken_for_the_peers() -> None:
    """The kernel answers with the listener of the peer's port where the connection itself is not known any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = SockDiag()
        try:
            assert asked(listener.getsockname(), ("127.0.0.1", free_port())) is None
        finally:
            asked.close()


def test_an_answer_of_the_kernel_is_read_whatever_its_length() -> None:
    local, remote = ("127.0.0.1", 1), ("127.0.0.1", 2)
    asked = encode_query(local, remote, 7)
    answer = struct.pack("=IHHII", 88, 20, 0, 7, 0) + bytes(4) + struct.pack("!HH", 1, 2) + bytes(60) + b"\5\0\0\0"
    assert parse_inode(answer, 2) == 5
    assert [parse_inode(answer[:length], 2) for length in range(16, len(answer))] == [None] * (len(answer) - 16)
    assert parse_inode(answer, 3) is None
    assert len(asked) == 72


def test_a_row_of_the_table_is_found_by_both_addresses(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 0100007F:C35A 08 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 0\n"
        "   1: 0100007F:C35A 0100007F:1F90 05 00000000:00000000 03:00001750 00000000     0        0 0 3 00\n"
        "   2: 0100007F:C35A 0100007F:1F9"
    )
    table = ProcNetTcp(tmp_path)
    here, peer = ("127.0.0.1", 8080), ("127.0.0.1", 50010)
    assert table(here, peer) == 4711
    assert table(("::ffff:127.0.0.1", 50010), ("::ffff:127.0.0.1", 8080, 0, 0)) == 0
    assert table(here, ("127.0.0.1", 50011)) is None
    assert table(("127.0.0.2", 8080), peer) is None


def test_one_reading_of_the_table_serves_all_that_ask_at_the_same_time(tmp_path: Path) -> None:
    now = [0.0]
    table = ProcNetTcp(tmp_path, lambda: now[0])
    row = "   0: 0100007F:1F90 0100007F:C35A 08 00000000:00000000 00:00000000 00000000  1000        0 %d 1\n"
    asked = ("127.0.0.1", 8080), ("127.0.0.1", 50010)
    (tmp_path / "tcp").write_text(row % 1)
    assert table(*asked) == 1
    (tmp_path / "tcp").write_text(row % 2)
    assert table(*asked) == 1
    now[0] = 2 * disconnects._TABLE_HOLDS
    assert table(*asked) == 2


def test_a_table_that_is_slow_to_read_is_not_read_again_for_each_app_that_leaves(tmp_path: Path) -> None:
    """With many sockets a reading takes longer than a table is used, and a thousand apps may leave at once."""
    now, readings = [0.0], []

    class Slow(type(tmp_path)):  # type: ignore[misc] # the class of paths on this platform
        def read_text(self, *_: object, **__: object) -> str:
            readings.append(now[0])
            now[0] += 1.0
            return ""

    (tmp_path / "tcp").touch()
    table = ProcNetTcp(Slow(tmp_path), lambda: now[0])
    for _ in range(1000):
        table(("127.0.0.1", 1), ("127.0.0.1", 2))
        now[0] += 0.03
    assert len(readings) == 2
