"""The sinks http:// and https://, and the client that all HTTP sinks share."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import given

from sidecars.chassis.config.settings import SettingsError
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.limits import SHORT_RESPONSE
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.over_http.http import as_array
from sidecars.logshipper.sinks.protocols.http_client import ReceiverClient
from tests.logshipper.opened_sinks import create, opened
from tests.logshipper.posting import ACCEPTED, batch, post, request_of, served
from tests.logshipper.strategies import batches
from tests.logshipper.support import Receiver

# -- requests ------------------------------------------------------------------------------------------------------


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
        writer.write(ACCEPTED)

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


# -- the form of requests ----------------------------------------------------------------------------------------------


async def test_a_request_may_be_an_array_of_records(receiver: Receiver) -> None:
    await post(receiver.url, "1\n\u00fc , [\n3\n", sink_encoding="json")
    ((_, body),) = receiver.stored
    assert [record["message"] for record in json.loads(body)] == ["1", "\u00fc , [", "3"]
    assert receiver.requests[0]["Content-Type"] == "application/json"


@given(batch=batches())
def test_an_array_has_the_records_of_the_lines(batch: Batch) -> None:
    lines = ndjson.encode(batch)
    if lines:
        assert json.loads(b"".join(as_array(lines))) == [json.loads(line) for line in b"".join(lines).splitlines()]


async def test_a_request_may_have_the_lines_alone(receiver: Receiver) -> None:
    await post(receiver.url, "1\n \u00fc\n", sink_encoding="text", compression="gzip")
    ((_, body),) = receiver.stored
    assert gzip.decompress(body) == "1\n \u00fc\n".encode()
    assert receiver.requests[0]["Content-Type"] == "text/plain; charset=utf-8"


async def test_method_and_content_type_may_be_others() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request_of(reader))[0])
        writer.write(ACCEPTED)

    async with served(serve) as address:
        await post(f"http://{address}/", "1\n", sink_method="PUT", sink_content_type="application/stream+json")
    assert heads[0].startswith(b"PUT / HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/stream+json\r\n" in heads[0]


async def test_the_key_of_the_batch_may_be_in_the_url_and_is_the_same_again() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request_of(reader))[0])
        writer.write(ACCEPTED)

    async with served(serve) as address:
        url = f"http://{address}/?query=INSERT%20INTO%20logs&insert_deduplication_token={{batch_key}}"
        for text in ("1\n", "1\n", "2\n2\n"):
            await post(url, text)
    targets = [head.split(b" ")[1].decode() for head in heads]
    key = batch("1\n").key
    assert targets[0] == targets[1] == f"/?query=INSERT%20INTO%20logs&insert_deduplication_token={key}"
    assert targets[2] != targets[0]


@pytest.mark.parametrize("content_type", ["json", "a/b\u00e4", "a/b\nX: y"])
def test_a_content_type_that_no_header_can_carry_is_refused(content_type: str) -> None:
    with pytest.raises(SettingsError, match="expected a type that a header can carry"):
        create("http://localhost/", sink_content_type=content_type)


@pytest.mark.parametrize("field", ["sink_method=PUT", "sink_encoding=json", "sink_content_type=a/b"])
def test_the_form_is_that_of_the_sink_http_alone(field: str) -> None:
    name, _, value = field.partition("=")
    with pytest.raises(SettingsError, match=rf"{name.upper()} is set, but loki\+http: has no use for it"):
        create("loki+http://localhost", **{name: value})


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
        with pytest.raises(RetryLater, match="the file of LOGSHIPPER_SINK_TOKEN cannot be read"):
            await sink.deliver(batch("1\n"))


async def test_headers_by_file_are_read_anew_and_waited_for_while_they_are_none(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "headers"
    path.write_text("X-Scope-OrgID=first\n")
    async with opened(receiver.url, sink_headers_file=str(path)) as sink:
        await sink.deliver(batch("1\n"))
        path.write_text("torn")
        with pytest.raises(RetryLater, match="LOGSHIPPER_SINK_HEADERS: expected name=value pairs"):
            await sink.deliver(batch("2\n", 2))
        path.write_text("X-Scope-OrgID=second\n")
        await sink.deliver(batch("2\n", 2))
    assert [headers["X-Scope-OrgID"] for headers in receiver.requests] == ["first", "second"]


@pytest.mark.parametrize("token", ["two\nlines", "n\u00fcl", "a\0b", "blank ", " blank"])
async def test_a_token_that_no_header_can_carry_is_waited_for(receiver: Receiver, tmp_path: Path, token: str) -> None:
    path = tmp_path / "token"
    path.write_text(token)
    with pytest.raises(RetryLater, match="LOGSHIPPER_SINK_TOKEN has line breaks, blanks around it or other characters"):
        await post(receiver.url, "1\n", sink_token_file=str(path))
    assert receiver.requests == []


# -- responses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("301", RetryLater),
        ("400", BatchRefused),
        ("401", RetryLater),
        ("403", RetryLater),
        ("404", RetryLater),
        ("408", RetryLater),
        ("413", BatchTooLarge),
        ("422", BatchRefused),
        ("429", RetryLater),
        ("500", RetryLater),
        ("503", RetryLater),
    ],
)
async def test_what_an_answer_means(receiver: Receiver, status: str, outcome: type[Exception]) -> None:
    receiver.mode = status
    with pytest.raises(outcome):
        await post(receiver.url, "1\n")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", ["400", "404", "415", "422", "503"])
async def test_the_receivers_own_words_are_told(receiver: Receiver, status: str) -> None:
    receiver.mode, receiver.error_body = status, b'{"error":"no \\u001b[2J such schema: \'s3cret line\'"}'
    with pytest.raises(
        (RetryLater, BatchRefused), match=rf"the receiver responded with {status}: no \\x1b\[2J such schema: '…'"
    ):
        await post(receiver.url, "1\n")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("301", "redirects are not followed"),
        ("401", "are the credentials right"),
        ("404", "is the path right"),
        ("405", "takes no POST"),
        ("415", "content type"),
    ],
)
async def test_what_people_have_to_mend_is_told(receiver: Receiver, status: str, remedy: str) -> None:
    receiver.mode = status
    with pytest.raises(RetryLater, match=rf"the receiver responded with {status} \(.*{remedy}"):
        await post(receiver.url, "1\n")


async def test_an_error_page_of_any_length_is_heard_by_its_status(receiver: Receiver) -> None:
    receiver.mode, receiver.error_body = "400", b"<p>x</p>" * 100_000
    with pytest.raises(BatchRefused, match=r"the receiver responded with 400$"):
        await post(receiver.url, "1\n")


async def test_a_receiver_that_sends_back_what_it_got_is_understood() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with served(serve) as address:
        await post(f"http://{address}/", "x" * 500_000 + "\n")


async def test_retry_after_is_honoured(receiver: Receiver) -> None:
    receiver.mode, receiver.headers = "429", {"Retry-After": "7"}
    with pytest.raises(RetryLater) as error:
        await post(receiver.url, "1\n")
    assert error.value.retry_after == 7


@asynccontextmanager
async def responding_too_early(response: bytes) -> AsyncIterator[str]:
    """Yield the address of a server that responds as soon as it has read the head, and never reads the body."""
    done = asyncio.Event()

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await done.wait()

    async with served(hasty) as address:
        yield address
        done.set()


async def test_a_yes_before_the_whole_batch_has_left_is_none() -> None:
    async with responding_too_early(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as address:
        with pytest.raises(RetryLater, match="before it had the whole batch"):
            await post(f"http://{address}/", "x" * 16_000_000 + "\n")


async def test_a_413_is_heard_while_the_body_is_on_its_way() -> None:
    no = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with responding_too_early(no) as address:
        with pytest.raises(BatchTooLarge):
            await post(f"http://{address}/", "x" * 16_000_000 + "\n")


async def test_of_a_response_that_has_the_batch_again_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    client_send = ReceiverClient.send

    async def noted(self: ReceiverClient, *arguments: Any) -> ClientResponse:
        response = await client_send(self, *arguments)
        kept.append(len(response.body))
        return response

    monkeypatch.setattr(ReceiverClient, "send", noted)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with served(serve) as url:
        await post(f"http://{url}", "a line of words\n" * 20_000)
    assert kept == [SHORT_RESPONSE]
