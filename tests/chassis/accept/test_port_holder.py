"""The user that has a port, from the tables of the kernel."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

import pytest

from sidecars.chassis.accept import port_holder
from sidecars.chassis.accept.port_holder import find_uid, listeners

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2134 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000 100 0 0 10 0
   1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000 64914        0 4243 1 0000 100 0 0 10 0
   2: 0100007F:2134 0100007F:A001 01 00000000:00000000 00:00000000 00000000    99        0 4244 1 0000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000001000000:2135 00000000000000000000000000000000:0000 0A 0:0 00:00000000 0 7 0 1
   1: 0000000000000000FFFF00000100007F:2136 00000000000000000000000000000000:0000 0A 0:0 00:00000000 0 8 0 1
   2: torn
"""


def test_listening_sockets_are_read_with_their_users() -> None:
    found = [(str(ip_address(address)), port, uid) for text in (TCP, TCP6) for address, port, uid in listeners(text)]

    assert found == [
        ("127.0.0.1", 8500, 1000),
        ("0.0.0.0", 8081, 64914),
        ("::1", 8501, 7),
        ("127.0.0.1", 8502, 8),  # mapped to IPv6
    ]


@pytest.mark.parametrize(
    ("family", "host", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "::"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
    ],
)
def test_who_listens_on_an_address_or_on_one_that_includes_it_is_found(family: int, host: str, asked: str) -> None:
    with socket.create_server((host, 0), family=family) as taken:
        assert find_uid(asked, taken.getsockname()[1]) == os.getuid()


def test_nobody_and_another_address_are_not_found() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        assert find_uid("127.0.0.1", other.getsockname()[1]) is None


def test_without_the_tables_the_user_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_holder, "_TABLES", ("/nowhere/tcp",))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert find_uid("127.0.0.1", taken.getsockname()[1]) is None
