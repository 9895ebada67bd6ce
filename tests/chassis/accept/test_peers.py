"""Peers by their addresses."""

from __future__ import annotations

import pytest

from sidecars.chassis.accept.peers import host_of, is_loopback, peer_key


def test_equal_addresses_are_one_peer_whatever_their_ports() -> None:
    assert peer_key(("10.0.0.1", 1)) == peer_key(("10.0.0.1", 2)) != peer_key(("10.0.0.2", 1))


def test_an_ipv4_address_that_is_mapped_to_ipv6_is_unwrapped() -> None:
    assert peer_key(("::ffff:10.0.0.1", 1, 0, 0)) == peer_key(("10.0.0.1", 1))
    assert host_of(("::ffff:10.0.0.1", 1, 0, 0)) == "10.0.0.1"


def test_all_addresses_of_a_slash_64_are_one_peer() -> None:
    assert peer_key(("2001:db8::1", 1, 0, 0)) == peer_key(("2001:db8::ffff:2", 1, 0, 0))
    assert peer_key(("2001:db8::1", 1, 0, 0)) != peer_key(("2001:db8:0:1::1", 1, 0, 0))
    assert peer_key(("fe80::1%eth0", 1, 0, 2)) == peer_key(("fe80::2%eth0", 1, 0, 2))


def test_all_peers_of_a_unix_socket_are_one() -> None:
    assert peer_key("") == peer_key("") != peer_key(("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.8.7", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        ("", True),
        (("10.0.0.1", 1), False),
        (("1.127.0.1", 1), False),
        (("::ffff:10.0.0.1", 1, 0, 0), False),
        (("::2", 1, 0, 0), False),
        (("fe80::1%lo", 1, 0, 1), False),
    ],
)
def test_loopback_is_told_from_other_addresses(address: object, expected: object) -> None:
    assert is_loopback(address) == expected
