"""Listening sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecars.chassis.accept import listen
from sidecars.chassis.accept.listen import bind, bound_address
from sidecars.chassis.config.setting_types import Address, address
from sidecars.chassis.runtime.lifecycle import IOFailed, Unavailable
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
    with bound("127.0.0.2:0") as sockets:
        assert [each.getsockname()[0] for each in sockets] == ["127.0.0.2"]


BOTH = {"127.0.0.1", "::1"} if listen._has_ipv6() else {"127.0.0.1"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", *(["[::1]"] if len(BOTH) > 1 else [])])
def test_loopback_is_bound_for_both_families_with_one_port(host: str) -> None:
    for port in (0, free_port()):
        with bound(f"{host}:{port}") as sockets:
            names = [each.getsockname() for each in sockets]
            assert {name[0] for name in names} == BOTH
            assert len({name[1] for name in names}) == 1
            assert port in (0, names[0][1])


def test_without_ipv6_loopback_is_bound_for_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_ipv6", False)
    for host in ("127.0.0.1", "localhost"):
        with bound(f"{host}:0") as sockets:
            assert [each.getsockname()[0] for each in sockets] == ["127.0.0.1"]


def test_that_there_is_no_ipv6_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket, "has_ipv6", False)
    caplog.set_level("INFO")
    listen._tell_that_ipv6_is_missing.cache_clear()
    with bound("127.0.0.1:0"), bound(":0"):
        assert [record.message for record in caplog.records if "IPv6" in record.message] == [
            "IPv6 is not available here: only IPv4 addresses are listened on"
        ]


THIEVES = [
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "", "0.0.0.0", "[::]"])
@pytest.mark.parametrize(("family", "taken"), THIEVES if len(BOTH) > 1 else THIEVES[:2])
def test_no_other_socket_can_listen_on_a_part_of_it(host: str, family: int, taken: str) -> None:
    """Whatever options a thief sets; a process of the same user is not even needed for the trial."""
    with bound(f"{host}:0") as sockets, socket.socket(family) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            thief.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with pytest.raises(OSError, match="Address already in use"):
            thief.bind((taken, sockets[0].getsockname()[1]))


def test_the_other_loopback_in_use_is_a_failure_too() -> None:
    if len(BOTH) == 1:
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as thief:
        port = thief.getsockname()[1]
        with pytest.raises(Unavailable) as caught:
            bind(Address("127.0.0.1", port), "DEMO_LISTEN")
    held = f"[::1]:{port} is in use by a process of uid {os.getuid()}"
    assert caught.value.reason == f"DEMO_LISTEN=127.0.0.1:{port}: cannot listen there: {held}"


def test_a_chosen_port_that_one_family_lacks_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = listen._listen, []

    def fails_twice(family: socket.AddressFamily, where: object, mode: int | None) -> socket.socket:
        calls.append(where)
        if family == socket.AF_INET6 and len(calls) < 5:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return real(family, where, mode)

    if len(BOTH) == 1:
        pytest.skip("this machine has no IPv6")
    monkeypatch.setattr(listen, "_listen", fails_twice)
    with bound("127.0.0.1:0") as sockets:
        assert len(calls) == 6
        assert sockets[0].getsockname()[1] == sockets[1].getsockname()[1]


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

        with pytest.raises(Unavailable) as caught:
            bind(address.parse(taken), "DEMO_LISTEN")
        held = f"{taken} is in use by a process of uid {os.getuid()}"
        assert caught.value.reason == f"DEMO_LISTEN={taken}: cannot listen there: {held}"


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


def test_the_file_of_a_socket_has_the_mode_that_is_asked_for_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        [private] = bind(Address(path=str(tmp_path / "private")), "DEMO_LISTEN", 0o600)
        [common] = bind(Address(path=str(tmp_path / "common")), "DEMO_LISTEN")
    finally:
        os.umask(before)
    private.close()
    common.close()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("private", "common")]
    assert modes == [0o600, 0o777]


def test_a_socket_file_that_is_served_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with bound(f"unix:{path}"):
        with pytest.raises(Unavailable, match="a process listens there already"):
            bind(Address(path=str(path)), "DEMO_LISTEN")
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

    words = {"file": "a file", "folder": "a directory", "link": "a link"}
    with pytest.raises(Unavailable, match=f"cannot listen there: {words[kind]} is there, and no socket$"):
        bind(Address(path=str(path)), "DEMO_LISTEN")

    assert os.path.lexists(path)


def test_nothing_stays_open_when_one_of_several_addresses_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    places = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("192.0.2.1", port))]
    monkeypatch.setattr(listen, "_endpoints", lambda _address: places)

    refusal(Address("localhost", port))

    with closing(socket.create_server(("127.0.0.1", port))):
        pass
