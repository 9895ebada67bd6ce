"""Listening sockets."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecars.chassis.config.setting_types import Address, address
from sidecars.chassis.http import listen
from sidecars.chassis.http.listen import bind, bound_address
from sidecars.chassis.runtime.lifecycle import IOFailed
from tests.support import PATIENCE, free_port


@contextmanager
def bound(raw: str) -> Iterator[list[socket.socket]]:
    sockets = bind(address.parse(raw), "DEMO_LISTEN")
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def refusal(where: Address) -> str:
    with pytest.raises(IOFailed) as caught:
        bind(where, "DEMO_LISTEN")
    return caught.value.reason


def reached(family: int, where: object) -> bool:
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        return client.connect_ex(where) == 0  # type: ignore[arg-type] # every family has its own shape of address


def test_a_port_alone_is_all_interfaces_of_ipv4_and_ipv6() -> None:
    with bound(":0") as sockets:
        port = sockets[0].getsockname()[1]

        assert reached(socket.AF_INET, ("127.0.0.1", port))
        if listen._has_ipv6():
            assert reached(socket.AF_INET6, ("::1", port))


def test_without_ipv6_a_port_alone_is_all_interfaces_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_ipv6", False)
    with bound(":0") as sockets:
        assert sockets[0].family == socket.AF_INET
        assert reached(socket.AF_INET, ("127.0.0.1", sockets[0].getsockname()[1]))


def test_a_host_is_that_interface_alone() -> None:
    with bound("127.0.0.1:0") as sockets:
        assert [each.getsockname()[0] for each in sockets] == ["127.0.0.1"]


def test_a_host_name_is_all_its_addresses() -> None:
    with bound(f"localhost:{free_port()}") as sockets:
        expected = {found[4][0] for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
        assert {each.getsockname()[0] for each in sockets} == expected


def test_a_listening_socket_does_not_block() -> None:
    with bound("127.0.0.1:0") as sockets, pytest.raises(BlockingIOError):
        sockets[0].accept()


def test_where_it_really_listens_is_told_with_the_port_that_the_system_chose(tmp_path: Path) -> None:
    with bound("127.0.0.1:0") as sockets:
        assert bound_address(sockets) == f"127.0.0.1:{sockets[0].getsockname()[1]}"
    with bound(f"unix:{tmp_path}/x") as sockets:
        assert bound_address(sockets) == f"unix:{tmp_path}/x"
    with bound(":0") as sockets:
        assert address.parse(bound_address(sockets)).port == sockets[0].getsockname()[1]


def test_an_address_in_use_is_told_with_the_variable_behind_it() -> None:
    with bound("127.0.0.1:0") as sockets:
        taken = bound_address(sockets)

        assert refusal(address.parse(taken)) == f"DEMO_LISTEN={taken}: cannot listen there: Address already in use"


@pytest.mark.parametrize(
    "where",
    [
        Address("no-such-host.invalid", 80),
        Address("192.0.2.1", 80),
        Address("a..b", 80),
        Address("x" * 70, 80),
        Address(path="/nowhere/x"),
        Address(path="/tmp/" + "x" * 200),
    ],
)
def test_an_address_that_cannot_be_had_is_a_failure_with_a_reason(where: Address) -> None:
    reason = refusal(where)

    assert reason.startswith(f"DEMO_LISTEN={where}: cannot listen there: ")
    assert reason.rpartition(": ")[2]


def test_a_socket_file_that_nobody_serves_any_more_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with bound(f"unix:{path}"):
        pass
    assert path.exists()

    with bound(f"unix:{path}"):
        assert reached(socket.AF_UNIX, str(path))


def test_a_socket_file_that_is_served_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with bound(f"unix:{path}"):
        assert "Address already in use" in refusal(Address(path=str(path)))
        assert reached(socket.AF_UNIX, str(path))


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")

    refusal(Address(path=str(path)))

    assert os.path.lexists(path)


def test_nothing_stays_open_when_one_of_several_addresses_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    places = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("192.0.2.1", port))]
    monkeypatch.setattr(listen, "_endpoints", lambda _address: places)

    refusal(Address("localhost", port))

    with closing(socket.create_server(("127.0.0.1", port))):
        pass


def test_each_of_several_processes_gets_sockets_of_its_own_for_one_port() -> None:
    each = listen.bind_per_process(address.parse("127.0.0.1:0"), "DEMO_LISTEN", 3)
    (port,) = {sockets[0].getsockname()[1] for sockets in each}
    assert len({sockets[0].fileno() for sockets in each}) == 3
    with contextlib.ExitStack() as stack:
        for sockets in each:
            stack.enter_context(sockets[0])
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert all(accepted(sockets[0]) for sockets in each)


def accepted(bound: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            bound.accept()[0].close()
            count += 1
    return count


def test_a_port_that_somebody_else_shares_is_in_use_all_the_same() -> None:
    with bound("127.0.0.1:0") as (first,), pytest.raises(IOFailed, match="DEMO_LISTEN="):
        listen.bind_per_process(Address("127.0.0.1", first.getsockname()[1]), "DEMO_LISTEN", 2)


def test_each_of_several_processes_gets_the_same_unix_socket(tmp_path: Path) -> None:
    each = listen.bind_per_process(address.parse(f"unix:{tmp_path / 'shared'}"), "DEMO_LISTEN", 2)
    with each[0][0] as one:
        assert each[1][0] is one
