"""The identity of a receiver: certificates for the configured name, and credentials for the configured address only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
import trustme

from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, Helo, ProtocolFailed
from tests.certificates import named_by_cn_only
from tests.logshipper.opened_sinks import opened
from tests.logshipper.posting import batch, request_of, served
from tests.logshipper.receivers.stream import Stream

SCHEMES = [
    "https",
    "loki+https",
    "elasticsearch+https",
    "otlp+https",
    "splunk+https",
    "gelf+https",
    "gelf+tls",
    "forward+tls",
    "relp+tls",
    "syslog+tls",
    "kafka+tls",
]


def url(scheme: str, address: str) -> str:
    return f"{scheme}://{address}{'/index' if scheme.startswith(('elasticsearch', 'kafka')) else ''}"


def by_cn_only(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    return named_by_cn_only(authority, "localhost", folder)


def for_another_name(authority: trustme.CA, _folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    return context


@pytest.mark.parametrize("certificate", [by_cn_only, for_another_name])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_receiver_gets_nothing_unless_its_certificate_has_the_configured_name(
    scheme: str, certificate: Callable[[trustme.CA, Path], ssl.SSLContext], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    receiver = Stream(certificate(authority, tmp_path))
    try:
        token = {"sink_token": "t0ken"} if scheme.startswith("splunk") else {}
        authority_file = str(tmp_path / "ca.pem")
        async with opened(url(scheme, f"localhost:{receiver.port}"), sink_ca=authority_file, **token) as sink:
            with pytest.raises(RetryLater, match=r"certificate of localhost:\d+ is not accepted: Hostname mismatch"):
                await sink.deliver(batch("1\n"))
    finally:
        receiver.close()
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http", "loki+http", "elasticsearch+http", "otlp+http", "splunk+http", "gelf+http"])
async def test_no_credential_and_no_line_follows_a_redirect(scheme: str, status: int) -> None:
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.append(await request_of(reader))

    async with served(elsewhere) as other:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request_of(reader)
            head = f"HTTP/1.1 {status} Moved\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode())

        async with served(redirect) as address, opened(url(scheme, address), sink_token="t0ken") as sink:
            with pytest.raises(RetryLater, match="redirects are not followed"):
                await sink.deliver(batch("1\n"))
    assert asked == []


def test_the_digest_of_one_handshake_opens_no_other() -> None:
    """A receiver without the key has the PINGs of two connections: neither is the PONG of the other."""
    hello = Helo(b"the nonce that the receiver chose", b"", keepalive=True)
    first = Handshake("shop-1", "s3cret", "", "", "00112233445566778899aabbccddeeff")
    second = Handshake("shop-2", "s3cret", "", "", "ffeeddccbbaa99887766554433221100")
    for ours, theirs in ((first, second), (second, first)):
        pong = [b"PONG", True, b"", theirs.hostname.encode(), digest_of(theirs, hello)]
        with pytest.raises(ProtocolFailed, match="does not have the shared key"):
            ours.check(pong, hello)


def digest_of(handshake: Handshake, hello: Helo) -> bytes:
    digest: bytes = msgpack.unpackb(handshake.ping(hello), raw=True)[3]
    return digest
