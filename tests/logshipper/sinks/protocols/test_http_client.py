"""The connections of the HTTP sinks: kept, broken, one for each batch on its way, and over TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.posting import ACCEPTED, batch, post, request_of, served
from tests.logshipper.support import Receiver

# -- connections ---------------------------------------------------------------------------------------------------


async def test_a_connection_is_kept_and_used_again() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while True:
            await request_of(reader)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + ACCEPTED)
            connections[-1] += 1

    async with served(serve) as address, opened(f"http://{address}/") as sink:
        for number in range(3):
            await sink.deliver(batch(f"{number}\n"))
    assert connections == [3]


async def test_a_kept_connection_that_closes_under_a_request_costs_no_retry() -> None:
    responded = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal responded
        await request_of(reader)
        writer.write(ACCEPTED)
        responded += 1
        await reader.readexactly(1)  # the next request begins

    async with served(serve) as address, opened(f"http://{address}/") as sink:
        for number in range(3):
            await sink.deliver(batch(f"{number}\n"))
    assert responded == 3


async def test_an_answer_that_asks_for_the_end_of_the_connection_gets_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the connection ends")

    async with served(serve) as address, opened(f"http://{address}/") as sink:
        for number in range(2):
            await sink.deliver(batch(f"{number}\n"))


async def test_batches_on_their_way_together_have_a_connection_each() -> None:
    waiting = asyncio.Semaphore(0)
    together = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        waiting.release()
        await together.wait()
        writer.write(ACCEPTED)

    async with served(serve) as address, opened(f"http://{address}/") as sink, asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(sink.deliver(batch(f"{number}\n")))
        for _ in range(3):
            await waiting.acquire()
        together.set()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"", "the receiver closed the connection without a response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the response cannot be used: it is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "closed the connection in the middle of its response"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 33_600_000,
            "the response is longer than [0-9]+ bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "the response cannot be used: it is not HTTP/1.1"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again(response: bytes, reason: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(response)
        await writer.drain()

    async with served(serve) as address:
        with pytest.raises(RetryLater, match=reason):
            await post(f"http://{address}/", "1\n")


async def test_no_answer_in_time_is_tried_again(receiver: Receiver) -> None:
    receiver.mode = "hang"
    with pytest.raises(RetryLater, match=r"no response within 0\.2 s"):
        await post(receiver.url, "1\n", request_timeout="200ms")


async def test_nobody_there_is_tried_again() -> None:
    with pytest.raises(RetryLater, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"):
        await post("http://127.0.0.1:1/", "1\n")


async def test_a_name_that_is_none_is_tried_again() -> None:
    with pytest.raises(RetryLater, match=r"the host name nowhere\.invalid cannot be looked up"):
        await post("http://nowhere.invalid/", "1\n")


async def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await post(receiver.url, "1\n")
    assert receiver.messages() == ["1"]


# -- TLS -----------------------------------------------------------------------------------------------------------


class Authority:
    """Certificates of one test, in files as a Secret mounts them."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.crt"
        self.cert = folder / "tls.crt"
        self.key = folder / "tls.key"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.ca)
        self.renew()

    def renew(self, name: str = "client") -> None:
        mine = self._authority.issue_cert(f"{name}@example.com")
        mine.cert_chain_pems[0].write_to_path(self.cert)
        mine.private_key_pem.write_to_path(self.key)

    def server(self, name: str = "localhost", *, asks: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name).configure_cert(context)
        if asks:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await request_of(reader)
        writer.write(ACCEPTED)


async def test_a_receiver_is_trusted_by_the_authority_that_is_set(authority: Authority) -> None:
    async with served(yes, authority.server()) as address:
        await post(f"https://{address}/", "1\n", sink_ca=str(authority.ca))
        with pytest.raises(
            RetryLater, match=r"certificate of localhost:.* is not accepted: unable to get local issuer"
        ):
            await post(f"https://{address}/", "1\n")


async def test_a_certificate_for_another_host_is_not_accepted(authority: Authority) -> None:
    async with served(yes, authority.server("elsewhere.example")) as address:
        with pytest.raises(RetryLater, match="is not accepted: Hostname mismatch"):
            await post(f"https://{address}/", "1\n", sink_ca=str(authority.ca))


async def test_a_receiver_that_does_not_speak_tls_is_tried_again(authority: Authority, receiver: Receiver) -> None:
    with pytest.raises(RetryLater, match=r"no TLS with 127\.0\.0\.1:|cannot connect to 127\.0\.0\.1"):
        await post(receiver.url.replace("http:", "https:"), "1\n", sink_ca=str(authority.ca), request_timeout="1s")


async def test_a_renewed_certificate_is_shown_from_the_next_batch_on(authority: Authority) -> None:
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert")["subjectAltName"][0][1])
        await yes(reader, writer)

    files = {"sink_ca": str(authority.ca), "sink_cert": str(authority.cert), "sink_key": str(authority.key)}
    async with served(serve, authority.server(asks=True)) as address, opened(f"https://{address}/", **files) as sink:
        await sink.deliver(batch("1\n"))
        await sink.deliver(batch("2\n", 2))
        authority.renew("renewed")
        await sink.deliver(batch("3\n", 4))
        authority.cert.write_text("torn")
        await sink.deliver(batch("4\n", 6))
    assert seen == ["client@example.com", "renewed@example.com"]


async def test_tls_files_that_cannot_be_used_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(IOFailed, match=r"^LOGSHIPPER_SINK_CA=.*absent cannot be read: No such file or directory"):
        await create("https://localhost/", sink_ca=str(tmp_path / "absent")).open(None)


# -- methods -------------------------------------------------------------------------------------------------------


def settings_of(url: str) -> SinkSettings:
    return load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": url}).sinks["default"]


async def request_heads(url: str, *methods: str) -> list[str]:
    """Return the head of one request of each method, without a body."""
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-north-1\r\nContent-Length: 3\r\n\r\n<E>")

    async with served(serve) as address:
        poster = HttpPoster(settings_of(url.replace("HOST", address)))
        poster.open()
        for method in methods:
            response = await poster.send(method, "/a?b", [("X-Part", "1")], [])
            assert (response.status, response.headers["x-amz-bucket-region"]) == (301, "eu-north-1")
            assert response.body == b"<E>"
        poster.close()
    return heads


async def test_a_request_has_its_method_and_its_response_has_its_headers() -> None:
    put, get, delete = await request_heads("http://HOST/", "PUT", "GET", "DELETE")
    assert put.startswith("PUT /a?b HTTP/1.1\r\n")
    assert "x-part: 1" in put.lower()
    assert "content-length: 0" in put.lower()
    assert get.startswith("GET /a?b ")
    assert delete.startswith("DELETE /a?b ")
    assert "content-length" not in (get + delete).lower()
