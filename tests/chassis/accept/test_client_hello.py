"""The first record of a TLS client."""

from __future__ import annotations

import ssl

import pytest

from sidecars.chassis.accept.client_hello import HEADER, record_size


def hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_size_of_a_real_client_hello_is_that_of_its_record() -> None:
    assert record_size(hello()[:HEADER]) == len(hello())


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /",
        bytes(5),
        b"\x16\x02\x00\x00\x10",  # SSL 2
        b"\x15\x03\x01\x00\x02",  # an alert
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x40\x01",  # one byte more than a record may have
        b"\xff" * 5,
    ],
)
def test_what_no_client_of_tls_sends_has_no_size(beginning: bytes) -> None:
    assert record_size(beginning) == 0


def test_the_largest_record_is_one() -> None:
    assert record_size(b"\x16\x03\x01\x40\x00") == HEADER + 2**14
