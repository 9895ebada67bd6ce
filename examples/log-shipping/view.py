"""The view of the example: it lists the objects of an S3 store, and shows the lines of one.

    /                the objects, newest first, and the sums
    /sums            the sums alone, as text
    /objects/<key>   the lines of one object, as text

    VIEW_BUCKET      URL of the bucket (http://objects:8333/logs)
    VIEW_KEY         access key, and its secret in VIEW_SECRET

Each record has an id: its file's generation, and the offset of its first byte. So the ids tell whether a byte of the
log is there twice. The app numbers its lines from 0, so the numbers tell whether a line is missing before the last one.
"""

import gzip
import hashlib
import hmac
import io
import json
import os
import re
import socket
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
from aiohttp import web
from aiohttp.typedefs import Handler

ROWS = 200  # objects on the page
NUMBER = re.compile(r" line (\d+)")
EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED = "host;x-amz-content-sha256;x-amz-date"
TEXT = {"X-Content-Type-Options": "nosniff"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Objects</title>
<style>body {{ font: 15px system-ui; margin: 2em; color-scheme: light dark }}
td, th {{ padding: .1em 1em; text-align: right }} td:first-child, th:first-child {{ text-align: left }}</style>
<h1>Log lines in the object store</h1>
<p>{sums}</p>
<table><tr><th>object<th>bytes<th>lines<th>bytes of log</tr>
{rows}</table>
<p>{note}</p></html>"""


class Signature(httpx.Auth):
    """Signs a GET with AWS Signature Version 4. The path and the query of the URL are in the canonical form."""

    def __init__(self, key: str, secret: str) -> None:
        self.key, self.secret = key, secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        path, _, query = request.url.raw_path.decode().partition("?")
        fields = f"host:{request.url.netloc.decode()}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{stamp}\n"
        canonical = f"GET\n{path}\n{query}\n{fields}\n{SIGNED}\n{EMPTY}"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        request.headers["x-amz-date"], request.headers["x-amz-content-sha256"] = stamp, EMPTY
        credential = f"Credential={self.key}/{scope}"
        request.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={SIGNED}, Signature={signature}"
        )
        yield request


@dataclass(frozen=True)
class Contents:
    """What an object has: its size in the store, its number of lines, and which bytes and lines of the log they are."""

    size: int
    lines: int
    ranges: list[tuple[str, int, int]]  # of bytes: generation, begin, end
    numbers: list[tuple[int, int]]  # ranges of lines: begin, end


def records(body: bytes) -> Iterator[dict[str, str]]:
    """Yield the records of an object."""
    with gzip.open(io.BytesIO(body)) as lines:
        yield from map(json.loads, lines)


def range_of(record: dict[str, str]) -> tuple[str, int, int]:
    """Return the bytes of the log that are in a record: `<generation>-<offset>`, or `<generation>-<offset>+<bytes>`."""
    generation, _, rest = record["id"].rpartition("-")
    offset, _, length = rest.partition("+")
    begin = int(offset)
    return generation, begin, begin + (int(length) if length else len(record["message"].encode()) + 1)


def contents(body: bytes) -> Contents:
    ranges: list[tuple[str, int, int]] = []
    numbers: list[tuple[int, int]] = []
    lines = 0
    for record in records(body):
        lines += 1
        generation, begin, end = range_of(record)
        if ranges and ranges[-1][0] == generation and ranges[-1][2] == begin:
            begin = ranges.pop()[1]
        ranges.append((generation, begin, end))
        if found := NUMBER.search(record["message"]):
            first = number = int(found[1])
            if numbers and numbers[-1][1] == number:
                first = numbers.pop()[0]
            numbers.append((first, number + 1))
    return Contents(len(body), lines, ranges, numbers)


def sums(objects: Iterable[Contents]) -> str:
    """Return the sums of all objects. Each line is there exactly once if nothing is missing or there twice."""
    objects = list(objects)
    twice = missing = 0
    place = ("", 0)  # the end of what was seen of a generation
    for generation, begin, end in sorted(one for item in objects for one in item.ranges):
        reached = place[1] if place[0] == generation else 0
        twice += max(0, min(end, reached) - begin)
        place = (generation, max(end, reached))
    known = 0
    for first, after in sorted(one for item in objects for one in item.numbers):
        missing += max(0, first - known)
        known = max(known, after)
    lines = sum(item.lines for item in objects)
    return f"{len(objects)} objects, {lines} lines: {missing} missing before number {known}, {twice} bytes twice"


class Store:
    """The bucket. An object never changes, so each is read once, and what it has is kept."""

    def __init__(self, bucket: str, auth: httpx.Auth) -> None:
        self.bucket, self.client = bucket, httpx.AsyncClient(auth=auth, trust_env=False, timeout=30)
        self.read: dict[str, Contents] = {}

    async def get(self, target: str) -> bytes:
        return (await self.client.get(f"{self.bucket}{target}")).raise_for_status().content

    async def body(self, key: str) -> bytes:
        return await self.get(f"/{quote(key, safe='/-_.~')}")

    async def keys(self) -> list[str]:
        """Return all keys, in their order."""
        keys: list[str] = []
        more = ""
        while True:
            query = f"continuation-token={quote(more, safe='')}&list-type=2" if more else "list-type=2"
            page = ET.fromstring(await self.get(f"?{query}"))  # noqa: S314 - of the store, whose key we have
            texts = {name: [item.text or "" for item in page.iter() if item.tag.endswith(f"}}{name}")] for name in TAGS}
            keys += texts["Key"]
            more = "".join(texts["NextContinuationToken"])
            if not more:
                return keys

    async def look(self) -> dict[str, Contents]:
        """Return what each object has."""
        keys = await self.keys()
        for key in keys:
            if key not in self.read:
                self.read[key] = contents(await self.body(key))
        self.read = {key: self.read[key] for key in keys}
        return self.read


TAGS = ("Key", "NextContinuationToken")
STORE = web.AppKey("store", Store)


@web.middleware
async def say_what_failed(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except httpx.HTTPStatusError as error:
        return web.Response(status=404 if error.response.status_code == 404 else 502, text=f"{error}\n")
    except httpx.TransportError as error:
        return web.Response(status=502, text=f"the store does not answer: {reason_of(error)}\n")


def reason_of(error: BaseException) -> str:
    """Return the words of the first cause, without its number: an error of httpx repeats the text of another one."""
    text = str(error) or type(error).__name__
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, OSError) and cause.errno:
            text = os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return text


async def show_page(request: web.Request) -> web.Response:
    objects = await request.app[STORE].look()
    newest = sorted(objects, reverse=True)[:ROWS]
    rows = "".join(
        f'<tr><td><a href="/objects/{escape(quote(key))}">{escape(key)}</a><td>{item.size}<td>{item.lines}'
        f"<td>{sum(end - begin for _, begin, end in item.ranges)}</tr>\n"
        for key, item in ((key, objects[key]) for key in newest)
    )
    note = f"and {len(objects) - ROWS} older objects" if len(objects) > ROWS else ""
    return web.Response(
        text=PAGE.format(sums=sums(objects.values()), rows=rows, note=note),
        content_type="text/html",
        headers={**TEXT, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


async def show_sums(request: web.Request) -> web.Response:
    return web.Response(text=sums((await request.app[STORE].look()).values()) + "\n", headers=TEXT)


async def show_object(request: web.Request) -> web.Response:
    body = await request.app[STORE].body(request.match_info["key"])
    return web.Response(text="".join(f"{record['message']}\n" for record in records(body)), headers=TEXT)


def main() -> None:
    app = web.Application(middlewares=[say_what_failed])
    signature = Signature(os.environ["VIEW_KEY"], os.environ["VIEW_SECRET"])
    app[STORE] = Store(os.environ.get("VIEW_BUCKET", "http://objects:8333/logs"), signature)
    app.router.add_get("/", show_page)
    app.router.add_get("/sums", show_sums)
    app.router.add_get("/objects/{key:.+}", show_object)
    # It ends with 0 at SIGTERM, which the kernel ignores for a process 1 without a handler.
    web.run_app(app, port=int(os.environ.get("VIEW_PORT", "8090")), print=None, access_log=None)


if __name__ == "__main__":
    main()
