"""Every parser that all sidecars share: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
from typing import Any

import h11
import pytest

from sidecars.chassis.config import setting_types
from sidecars.chassis.config.settings import SettingsError
from sidecars.chassis.config.source_position import position_of
from sidecars.chassis.http import response_parser
from sidecars.chassis.http.accept_header import media_ranges
from sidecars.chassis.http.messages import ClientLimits, Request, Response
from sidecars.chassis.http.response_parser import RequestFailed, ResponseParser, ResponseProgress
from sidecars.chassis.http.retry_after import retry_after
from sidecars.chassis.http.server import Server
from sidecars.chassis.http.server_connection import ServerConnection
from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.printable import printable, truncate
from tests.chassis.shop import GOOD, loaded
from tests.growth import Case, require_linear

pytestmark = pytest.mark.slow

RESPONSES: dict[str, Any] = {
    "a body": lambda n: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n,
    "a body until the end": lambda n: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * n,
    "chunks of a byte": lambda n: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * n,
    "a chunk": lambda n: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % n + b"x" * n,
    "a head": lambda n: b"HTTP/1.1 200 OK\r\na: " + b"x" * n,
    "fields": lambda n: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * n + b"\r\n",
    "interim responses": lambda n: b"HTTP/1.1 100 Continue\r\n\r\n" * n,
    "empty lines": lambda n: b"\r\n" * n,
    "a status line": lambda n: b"HTTP/1.1 200 " + b"x" * n,
}


@pytest.mark.parametrize("size", [1, 64, 1 << 30], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_parsed_in_linear_time(name: str, size: int) -> None:
    request = h11.Request(method="GET", target="/", headers=[("Host", "x")])

    def parse(data: bytes) -> None:
        connection = response_parser.protocol()
        connection.send(request)
        connection.send(h11.EndOfMessage())
        parser = ResponseParser(connection, 1 << 22, ResponseProgress())
        with contextlib.suppress(RequestFailed):
            for at in range(0, len(data), size):
                parser.receive(data[at : at + size])
                while not parser.advance(64):
                    pass

    require_linear(Case(name, RESPONSES[name], parse, 1 << 17))


class Wire:
    """A transport that takes everything."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments, **_more: None


UNFINISHED: dict[str, Any] = {
    "a field": lambda n: b"a: " + b"v" * n,
    "fields": lambda n: b"a: v\r\n" * (n // 6),
    "a request line": lambda n: b"GET /" + b"v" * n,
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_head_that_comes_byte_by_byte_is_read_in_linear_time(name: str) -> None:
    async def never(_request: Request) -> Response:
        raise AssertionError("the head has an end")

    server = Server(never, ClientLimits(head=1 << 17, unfinished=1 << 20))
    line = b"" if name == "a request line" else b"GET / HTTP/1.1\r\n"

    def read(data: bytes) -> None:
        ticket = server.budget.admit("a", lambda: None)
        assert ticket is not None
        connection = ServerConnection(server, ticket)
        connection.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
        for at in range(len(data)):
            connection.data_received(data[at : at + 1])
        assert not connection._working
        connection.connection_lost(None)

    require_linear(Case(name, lambda n: line + UNFINISHED[name](n), read, 1 << 16))


def settings(form: str) -> Any:
    def load(number: int) -> dict[str, str]:
        return {**GOOD, **{form.replace("{n}", str(k)): "1" for k in range(number)}}

    return load


def read_settings(environ: dict[str, str]) -> None:
    with contextlib.suppress(SettingsError):
        loaded(environ)


def parse(setting_type: Any) -> Any:
    def work(text: str) -> None:
        with contextlib.suppress(ValueError):
            setting_type.parse(text)

    return work


TEXTS: dict[str, tuple[Any, Any]] = {
    "Accept with ranges": (lambda n: "a/b;q=0.1," * n, lambda text: list(media_ranges(text))),
    "Accept with quotes": (lambda n: 'a/b;c="' + "\\" * n, lambda text: list(media_ranges(text))),
    "Accept with blanks": (lambda n: "a/b" + " " * n + ";", lambda text: list(media_ranges(text))),
    "Retry-After with digits": (lambda n: "1" * n, lambda text: retry_after(text, 0.0, 10.0)),
    "Retry-After with blanks": (lambda n: "Sun," + " " * n, lambda text: retry_after(text, 0.0, 10.0)),
    "foreign variables": (settings("OTHER_{n}"), read_settings),
    "a list": (lambda n: "a," * n + "a", parse(setting_types.comma_separated(setting_types.text))),
    "pairs": (lambda n: ",".join(f"k{k}=v" for k in range(n)), parse(setting_types.pairs())),
    "an address": (lambda n: ":" * n, parse(setting_types.address)),
    "a duration": (lambda n: "1" * n + "s", parse(setting_types.duration())),
    "a size": (lambda n: "1" + "K" * n, parse(setting_types.size())),
    "a text to print": (lambda n: "\x1b" * n, printable),
    "a text to cut": (lambda n: "\x1b" * n, lambda text: truncate(text, 100)),
    "a field of a log line": (lambda n: "\ud800\x00" * n, json_text.dumps),
    "a position": (lambda n: "\n" * n + "x", lambda text: position_of(text, len(text) - 1)),
    "a position in a line": (lambda n: "\t" * n + "x", lambda text: position_of(text, len(text) - 1)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_in_linear_time(name: str) -> None:
    make, work = TEXTS[name]
    require_linear(Case(name, make, work, 1 << 18))
