"""The header of the PROXY protocol, version 2, byte by byte."""

from __future__ import annotations

import pytest

from sidecars.ambassador.transport.ways import proxy_protocol

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def test_the_header_is_as_the_specification_has_it() -> None:
    made = proxy_protocol.header(("10.1.2.3", 50000), ("127.0.0.1", 5432))
    assert made == SIGNATURE + bytes.fromhex("21 11 000c 0a010203 7f000001 c350 1538")
    made = proxy_protocol.header(("fe80::1%eth0", 1, 0, 2), ("fd00::2", 65535, 0, 0))
    assert made == SIGNATURE + bytes.fromhex(
        "21 21 0024 fe800000000000000000000000000001 fd000000000000000000000000000002 0001 ffff"
    )
    assert proxy_protocol.LOCAL == SIGNATURE + bytes.fromhex("20 00 0000")


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("", "/run/app.sock"),
        (None, None),
        (("10.0.0.1", 1), None),
        (("10.0.0.1", 1), ("::1", 1, 0, 0)),
        (("10.0.0.1", 65536), ("10.0.0.1", 1)),
        (("host", 1), ("10.0.0.1", 1)),
    ],
)
def test_a_client_without_two_addresses_of_one_family_is_told_as_our_own(source: object, destination: object) -> None:
    assert proxy_protocol.header(source, destination) == proxy_protocol.LOCAL
