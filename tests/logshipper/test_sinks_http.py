"""The sinks http:// and https://, and the client that all HTTP sinks share."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from backports import zstd

from chassis.lifecycle import IOFailed
from chassis.settings import SettingsError
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.sinks.answers import retry_after
from sidecars.logshipper.sinks.base import Rejected, TooLarge, TryLater
from tests.logshipper.sinks import create, opened
from tests.logshipper.support import Receiver, a_batch, part

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_YES = b"HTTP/1.1 204 No Content\r\n\r\n"


def batch(text: str, start: int = 0) -> Batch:
    return a_batch(part(text.encode(), start))


async def post(url: str, text: str, **settings: str) -> None:
    async with opened(url, **settings) as sink:
        await sink.deliver(batch(text))


@asynccontextmanager
async def served(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server of one's own, byte by byte; its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


# -- what is sent --------------------------------------------------------------------------------------------------


async def test_a_batch_is_one_post_with_its_key_and_token(receiver: Receiver) -> None:
    await post(receiver.url, "1\n2\n", sink_token="s3cret")
    assert receiver.messages() == ["1", "2"]
    (headers,) = receiver.requests
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Idempotency-Key"] == batch("1\n2\n").key
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"


async def test_path_and_query_are_sent_as_they_were_written() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request_of(reader))[0])
        writer.write(_YES)

    async with served(serve) as address:
        await post(f"http://{address}/a%2Fb;c?d=e&f=%20", "1\n")
    assert heads[0].startswith(b"POST /a%2Fb;c?d=e&f=%20 HTTP/1.1\r\n")


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("zstd", zstd.decompress)])
async def test_compression(receiver: Receiver, coding: str, decode: Callable[[bytes], bytes]) -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    await post(receiver.url, text, compression=coding)
    ((_, body),) = receiver.stored
    assert receiver.requests[0]["Content-Encoding"] == coding
    assert [json.loads(line)["message"] for line in decode(body).splitlines()] == text.splitlines()


async def test_user_name_and_password_are_basic_authentication(receiver: Receiver) -> None:
    await post(receiver.url, "1\n", sink_username="shop", sink_password="p:ss")
    assert receiver.requests[0]["Authorization"] == "Basic c2hvcDpwOnNz"


async def test_further_headers_may_be_percent_encoded_and_replace_none_but_their_own(receiver: Receiver) -> None:
    await post(receiver.url, "1\n", sink_headers="X-Scope-OrgID=shop, X-List=a%2Cb=", sink_token="s3cret")
    (headers,) = receiver.requests
    assert (headers["X-Scope-OrgID"], headers["X-List"]) == ("shop", "a,b=")
    assert headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    "headers", ["nonsense", "=value", "Na me=value", "Name=a%0Ab", "Name=a%20", "Name=\u00e4", "a=1,,b=2"]
)
def test_headers_that_cannot_be_sent_are_refused_and_never_shown(headers: str) -> None:
    with pytest.raises(SettingsError, match=r"^LOGSHIPPER_SINK_HEADERS=\*\*\*: expected [nN]ame=value pairs"):
        create("http://localhost/", sink_headers=headers)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Content-Type", "Connection"])
def test_headers_that_are_ours_to_set_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"expected other headers than {name}: that one is ours to set"):
        create("http://localhost/", sink_headers=f"X-Scope-OrgID=shop,{name}=5")


# -- secrets that change -------------------------------------------------------------------------------------------


async def test_the_token_is_read_anew_for_every_batch(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with opened(receiver.url, sink_token_file=str(token)) as sink:
        await sink.deliver(batch("1\n"))
        token.write_text("second\n")
        await sink.deliver(batch("2\n", 2))
    assert [headers["Authorization"] for headers in receiver.requests] == ["Bearer first", "Bearer second"]


async def test_a_token_file_that_is_gone_for_a_moment_is_waited_for(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with opened(receiver.url, sink_token_file=str(token)) as sink:
        token.unlink()
        with pytest.raises(TryLater, match="the file of LOGSHIPPER_SINK_TOKEN cannot be read"):
            await sink.deliver(batch("1\n"))


async def test_headers_by_file_are_read_anew_and_waited_for_while_they_are_none(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "headers"
    path.write_text("X-Scope-OrgID=first\n")
    async with opened(receiver.url, sink_headers_file=str(path)) as sink:
        await sink.deliver(batch("1\n"))
        path.write_text("torn")
        with pytest.raises(TryLater, match="LOGSHIPPER_SINK_HEADERS: expected name=value pairs"):
            await sink.deliver(batch("2\n", 2))
        path.write_text("X-Scope-OrgID=second\n")
        await sink.deliver(batch("2\n", 2))
    assert [headers["X-Scope-OrgID"] for headers in receiver.requests] == ["first", "second"]


@pytest.mark.parametrize("token", ["two\nlines", "n\u00fcl", "a\0b", "blank ", " blank"])
async def test_a_token_that_no_header_can_carry_is_waited_for(receiver: Receiver, tmp_path: Path, token: str) -> None:
    path = tmp_path / "token"
    path.write_text(token)
    with pytest.raises(TryLater, match="LOGSHIPPER_SINK_TOKEN has line breaks, blanks around it or other characters"):
        await post(receiver.url, "1\n", sink_token_file=str(path))
    assert receiver.requests == []


# -- what an answer means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("301", TryLater),
        ("400", Rejected),
        ("401", TryLater),
        ("403", TryLater),
        ("404", TryLater),
        ("408", TryLater),
        ("413", TooLarge),
        ("422", Rejected),
        ("429", TryLater),
        ("500", TryLater),
        ("503", TryLater),
    ],
)
async def test_what_an_answer_means(receiver: Receiver, status: str, outcome: type[Exception]) -> None:
    receiver.mode = status
    with pytest.raises(outcome):
        await post(receiver.url, "1\n")
    assert len(receiver.requests) == 1


async def test_retry_after_is_honoured(receiver: Receiver) -> None:
    receiver.mode, receiver.headers = "429", {"Retry-After": "7"}
    with pytest.raises(TryLater) as error:
        await post(receiver.url, "1\n")
    assert error.value.after == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("99999999999999999999", 3600),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, now=10.0) == seconds


@asynccontextmanager
async def answering_too_early(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that answers as soon as it has read the head, and never reads the body."""
    done = asyncio.Event()

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await done.wait()

    async with served(hasty) as address:
        yield address
        done.set()


async def test_a_yes_before_the_whole_batch_has_left_is_none() -> None:
    async with answering_too_early(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as address:
        with pytest.raises(TryLater, match="before it had the whole batch"):
            await post(f"http://{address}/", "x" * 16_000_000 + "\n")


async def test_a_413_is_heard_while_the_body_is_on_its_way() -> None:
    no = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with answering_too_early(no) as address:
        with pytest.raises(TooLarge):
            await post(f"http://{address}/", "x" * 16_000_000 + "\n")


# -- connections ---------------------------------------------------------------------------------------------------


async def test_a_connection_is_kept_and_used_again() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while True:
            await request_of(reader)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + _YES)
            connections[-1] += 1

    async with served(serve) as address, opened(f"http://{address}/") as sink:
        for number in range(3):
            await sink.deliver(batch(f"{number}\n"))
    assert connections == [3]


async def test_a_kept_connection_that_closes_under_a_request_costs_no_retry() -> None:
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await request_of(reader)
        writer.write(_YES)
        answered += 1
        await reader.readexactly(1)  # the next request has begun

    async with served(serve) as address, opened(f"http://{address}/") as sink:
        for number in range(3):
            await sink.deliver(batch(f"{number}\n"))
    assert answered == 3


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
        writer.write(_YES)

    async with served(serve) as address, opened(f"http://{address}/") as sink, asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(sink.deliver(batch(f"{number}\n")))
        for _ in range(3):
            await waiting.acquire()
        together.set()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the receiver closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "closed the connection in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 33_600_000, "longer than 32 MiB"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "the answer is not HTTP/1.1"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again(answer: bytes, reason: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)
        await writer.drain()

    async with served(serve) as address:
        with pytest.raises(TryLater, match=reason):
            await post(f"http://{address}/", "1\n")


async def test_no_answer_in_time_is_tried_again(receiver: Receiver) -> None:
    receiver.mode = "hang"
    with pytest.raises(TryLater, match=r"no answer within 0\.2 s"):
        await post(receiver.url, "1\n", request_timeout="200ms")


async def test_nobody_there_is_tried_again() -> None:
    with pytest.raises(TryLater, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"):
        await post("http://127.0.0.1:1/", "1\n")


async def test_a_name_that_is_none_is_tried_again() -> None:
    with pytest.raises(TryLater, match=r"the host name nowhere\.invalid cannot be looked up"):
        await post("http://nowhere.invalid/", "1\n")


async def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await post(receiver.url, "1\n")
    assert receiver.messages() == ["1"]


# -- TLS -----------------------------------------------------------------------------------------------------------


class Authority:
    """Certificates of a test's own, in files as a Secret mounts them."""

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
        writer.write(_YES)


async def test_a_receiver_is_trusted_by_the_authority_that_is_set(authority: Authority) -> None:
    async with served(yes, authority.server()) as address:
        await post(f"https://{address}/", "1\n", sink_ca=str(authority.ca))
        with pytest.raises(TryLater, match=r"certificate of localhost:.* is not accepted: unable to get local issuer"):
            await post(f"https://{address}/", "1\n")


async def test_a_certificate_for_another_host_is_not_accepted(authority: Authority) -> None:
    async with served(yes, authority.server("elsewhere.example")) as address:
        with pytest.raises(TryLater, match="is not accepted: Hostname mismatch"):
            await post(f"https://{address}/", "1\n", sink_ca=str(authority.ca))


async def test_a_receiver_that_does_not_speak_tls_is_tried_again(authority: Authority, receiver: Receiver) -> None:
    with pytest.raises(TryLater, match=r"no TLS with 127\.0\.0\.1:|cannot connect to 127\.0\.0\.1"):
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
