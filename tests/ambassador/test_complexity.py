"""Every parser of the ambassador: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_key import hash_key_function
from sidecars.ambassador.config.target_types import targets
from sidecars.ambassador.discovery import resolvconf
from sidecars.ambassador.discovery.dns_target import SrvRecord, addresses_of_records
from sidecars.ambassador.http import header_edits
from sidecars.ambassador.http.bodies import ChunkedReader
from sidecars.ambassador.http.head_rules import MessageRejected, check_beginning, detect_protocol
from sidecars.ambassador.http.header_edits import combine_edits
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.transport.disconnects import parse_table
from sidecars.chassis.config.settings import load
from tests.ambassador.exchanges import Pair, Wire
from tests.growth import Case, require_linear

pytestmark = pytest.mark.slow

MOST = 10**9  # fields
LARGEST_HEAD = 1_000_000  # bytes: the most of MAX_HEADER_SIZE is 1 MiB
PARSER = RequestParser({b"orders"}, combine_edits(None), MOST)
EDITING = RequestParser(
    {b"orders"}, combine_edits(header_edits.edits.parse("-a\nb: c\n+d: e"), (b"authorization",)), MOST
)

FIELDS: dict[str, Any] = {
    "fields": lambda n: b"".join(b"f%d: v\r\n" % number for number in range(n)),
    "one field": lambda n: b"a: v\r\n" * n,
    "names of one prefix": lambda n: b"".join(b"x-forwarded-for-%d: v\r\n" % number for number in range(n)),
    "options of Connection": lambda n: b"Connection: " + b", ".join(b"f%d" % k for k in range(n)) + b"\r\n",
    "Connection and what it names": lambda n: (
        b"Connection: " + b", ".join(b"f%d" % k for k in range(n)) + b"\r\n"
        + b"".join(b"f%d: v\r\n" % k for k in range(n))
    ),
    "Connection again": lambda n: b"Connection: close\r\n" * n,
    "codings": lambda n: b"Transfer-Encoding: " + b"gzip, " * n + b"chunked\r\n",
    "Transfer-Encoding again": lambda n: b"Transfer-Encoding: gzip\r\n" * n,
    "lengths": lambda n: b"Content-Length: " + b"1, " * n + b"1\r\n",
    "a long length": lambda n: b"Content-Length: " + b"0" * n + b"1\r\n",
    "commas": lambda n: b"Connection: " + b"," * n + b"\r\n",
    "blanks": lambda n: b"a:" + b" " * n + b"v\r\n",
    "blanks in a list": lambda n: b"Connection: a" + b" " * n + b"b\r\n",
    "folded lines": lambda n: b"a: v\r\n" + b" v\r\n" * n,
    "a name without an end": lambda n: b"a" * n + b"\r\n",
    "expectations": lambda n: b"Expect: 100-continue\r\n" * n,
    "cookies": lambda n: b"Cookie: " + b"a=b; " * n + b"\r\n",
    "upgrades": lambda n: b"Connection: upgrade\r\nUpgrade: " + b"a/b, " * n + b"\r\n",
}  # fmt: skip
LINES: dict[str, Any] = {
    "a path": lambda n: b"/" + b"a" * n,
    "dots": lambda n: b"/" + b"../" * n,
    "a query": lambda n: b"/?" + b"&" * n,
    "percent signs": lambda n: b"/" + b"%41" * n,
    "an authority": lambda n: b"http://" + b"a." * n + b"/",
    "colons": lambda n: b"http://" + b":" * n,
}


def parse_request(parser: RequestParser) -> Any:
    def parse(data: bytes) -> None:
        with contextlib.suppress(MessageRejected):
            check_beginning(data, 400)
            detect_protocol(data, 400)
            parser.parse(data, data.index(b"\r\n\r\n")).head(b"orders", b"")

    return parse


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("parser", [PARSER, EDITING], ids=["plain", "with edits"])
def test_the_fields_of_a_request_are_parsed_in_linear_time(parser: RequestParser, fields: str) -> None:
    head = b"POST / HTTP/1.1\r\nHost: orders\r\n"
    require_linear(Case(fields, lambda n: head + FIELDS[fields](n) + b"\r\n", parse_request(parser)))


UNFINISHED: dict[str, Any] = {
    "a field": lambda n: b"a: " + b"v" * n,
    "fields": lambda n: b"a: v\r\n" * (n // 6),
    "empty lines": lambda n: b"\r\n" * (n // 2),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_head_that_comes_byte_by_byte_is_read_in_linear_time(name: str) -> None:
    with Pair(AMBASSADOR_MAX_HEADER_SIZE="1MiB") as pair:

        def read(data: bytes) -> None:
            client = ClientConnection(pair.upstream)
            client.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
            for at in range(len(data)):
                client.data_received(data[at : at + 1])
            assert client.exchange is None
            client.connection_lost(None)

        require_linear(Case(name, lambda n: b"GET / HTTP/1.1\r\n" + UNFINISHED[name](n), read, LARGEST_HEAD))


@pytest.mark.parametrize("name", [name for name in UNFINISHED if "empty" not in name])
def test_an_unfinished_head_of_a_response_that_comes_byte_by_byte_is_read_in_linear_time(name: str) -> None:
    with Pair(AMBASSADOR_MAX_HEADER_SIZE="1MiB") as pair:

        def read(data: bytes) -> None:
            client, connection = ClientConnection(pair.upstream), pair.upstream.pool.new_connection(pair.endpoint)
            client.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
            connection.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
            connection.keep_idle(client.since)
            client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for at in range(len(data)):
                connection.data_received(data[at : at + 1])
            assert client.exchange is not None
            assert connection.exchange is client.exchange
            client.connection_lost(None)

        require_linear(Case(name, lambda n: b"HTTP/1.1 200 OK\r\n" + UNFINISHED[name](n), read, LARGEST_HEAD))


@pytest.mark.parametrize("line", LINES)
def test_a_request_line_is_parsed_in_linear_time(line: str) -> None:
    def make(n: int) -> Any:
        return b"GET " + LINES[line](n) + b" HTTP/1.1\r\nHost: orders\r\n\r\n"

    require_linear(Case(line, make, parse_request(PARSER)))


@pytest.mark.parametrize("fields", FIELDS)
def test_the_fields_of_a_response_are_parsed_in_linear_time(fields: str) -> None:
    request = PARSER.parse(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n", len(b"GET / HTTP/1.1\r\nHost: orders"))

    def parse(head: bytes) -> None:
        with contextlib.suppress(MessageRejected):
            parse_response(head, request, MOST).head(1, close=False)

    require_linear(Case(fields, lambda n: b"HTTP/1.1 200 OK\r\n" + FIELDS[fields](n).removesuffix(b"\r\n"), parse))


BODIES: dict[str, Any] = {
    "chunks of one byte": lambda n: b"1\r\nx\r\n" * n,
    "one chunk": lambda n: b"%x\r\n" % n + b"x" * n + b"\r\n",
    "an extension": lambda n: b"1;" + b"x" * n,
    "extensions": lambda n: b"1;a=b\r\nx\r\n" * n,
    "zeros": lambda n: b"0" * n,
    "trailers": lambda n: b"0\r\n" + b"a: b\r\n" * n,
    "a long trailer": lambda n: b"0\r\na: " + b"b" * n,
}


@pytest.mark.parametrize("size", [1, 1000, 1 << 30], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize("body", BODIES)
def test_a_chunked_body_is_read_in_linear_time(body: str, size: int) -> None:
    def read(data: bytes) -> None:
        reader = ChunkedReader(400)
        with contextlib.suppress(MessageRejected):
            for at in range(0, len(data), size):
                reader.feed(data[at : at + size])
                while reader.unread:
                    reader.feed(b"")

    require_linear(Case(body, BODIES[body], read))


SOCKET = "   %d: 0100007F:%04X 0100007F:1F90 01 0:0 00:0 0 0 0 %d 1\n"


def find_cookie(head: bytes) -> None:
    find = hash_key_function("hash:cookie:c")
    assert find
    find(head, "")


TEXTS: dict[str, tuple[Any, Any]] = {
    "name servers": (lambda n: "nameserver 10.0.0.1\n" * n, resolvconf.parse),
    "options": (lambda n: "options " + "ndots:5 " * n, resolvconf.parse),
    "search domains": (lambda n: "search " + "a.b. " * n, resolvconf.parse),
    "a number": (lambda n: "options ndots:" + "9" * n, resolvconf.parse),
    "empty lines": (lambda n: "\n" * n, resolvconf.parse),
    "targets": (lambda n: ",".join(f"http://a{number}" for number in range(n)), targets.parse),
    "a target": (lambda n: "http://" + "a." * n, targets.parse),
    "SRV labels": (lambda n: "https+srv://" + "_a." * n + "b", lambda text: targets.parse(text).targets[0].service),
    "edits": (lambda n: "a: b\n" * n, header_edits.edits.parse),
    "sockets": (lambda n: "header\n" + "".join(SOCKET % (k, k, k) for k in range(n)), parse_table),
    "a cookie": (lambda n: b"Cookie: " + b"a=b; " * n + b"\r\n", find_cookie),
    "SRV records": (
        lambda n: [(SrvRecord(k % 7, k, 80, f"h{k}.test"), ["10.0.0.1"]) for k in range(n)],
        addresses_of_records,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_in_linear_time(name: str) -> None:
    make, work = TEXTS[name]

    def read(data: Any) -> None:
        with contextlib.suppress(ValueError):
            work(data)

    require_linear(Case(name, make, read, 40_000))


@pytest.mark.parametrize("balance", ["round_robin", "ewma", "hash:header:x"])
def test_all_new_addresses_are_taken_up_in_linear_time(balance: str) -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://orders", "AMBASSADOR_BALANCE": balance})

    def make(n: int) -> list[list[Endpoint]]:
        return [
            [Endpoint(b"orders", f"10.{net}.{k >> 8}.{k & 255}", 80, tls=False, server_name="") for k in range(n)]
            for net in (1, 2)
        ]

    def take_up(sets: list[list[Endpoint]]) -> None:
        balancer = Balancer(settings.upstreams["default"])
        balancer.update(sets[0], [], 0.0)
        balancer.update(sets[1], sets[0], 1.0)

    require_linear(Case(balance, make, take_up, 4000, least=1000))
