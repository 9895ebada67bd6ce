"""Receivers of GELF 1.1, as Graylog documents it: over TCP with a NUL behind each message, and over HTTP."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.logshipper.receivers.stream import Stream
from tests.logshipper.support import Receiver

_NAME = re.compile(r"_[\w.-]+", re.ASCII)
_KEPT = {"_id", "_source", "_index", "_type", "_all", "_ttl", "_score"}
_STANDARD = {"version", "host", "short_message", "full_message", "timestamp", "level"}


@dataclass(frozen=True)
class Message:
    host: str
    short: str
    full: str
    timestamp: Decimal
    level: int
    fields: dict[str, Any]  # additional ones, without their `_`

    @property
    def text(self) -> str:
        return self.full or self.short


def parse(data: bytes) -> Message:
    """Parse a message. Raises AssertionError if it differs from the specification."""
    found = json.loads(data, parse_float=Decimal)
    more = {name: value for name, value in found.items() if name not in _STANDARD}
    assert found["version"] == "1.1"
    assert isinstance(found["host"], str)
    assert found["host"]
    assert isinstance(found["short_message"], str)
    assert found["short_message"]
    assert "\n" not in found["short_message"]
    assert isinstance(found["timestamp"], Decimal)
    assert found["level"] in range(8)
    for name, value in more.items():
        assert _NAME.fullmatch(name), name
        assert name not in _KEPT
        assert isinstance(value, str | int | Decimal), (name, value)
        assert not isinstance(value, bool), name
    fields = {name[1:]: value for name, value in more.items()}
    text = found["short_message"], found.get("full_message", "")
    return Message(found["host"], *text, found["timestamp"], found["level"], fields)


class GelfTcp(Stream):
    """Stores messages. `mode`: ok · deaf: reads nothing · cut:N: closes a connection after N bytes."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.events: list[Message] = []
        self._closing = threading.Event()
        super().__init__(context, port, window=4096)
        self.url = f"gelf+{'tls' if context else 'tcp'}://localhost:{self.port}"

    def converse(self, connection: socket.socket) -> None:
        if self.mode == "deaf":
            self._closing.wait()
        limit = int(self.mode.removeprefix("cut:")) if self.mode.startswith("cut:") else 1 << 60
        seen, rest = 0, b""
        while data := connection.recv(min(65536, limit - seen)):
            seen += len(data)
            *frames, rest = (rest + data).split(b"\0")
            self.events += map(parse, frames)
            if seen >= limit:
                connection.close()
                return

    def close(self) -> None:
        self._closing.set()
        super().close()


class GelfHttp(Receiver):
    """Stores messages and responds with 202. `in_bulk`: bulk receiving is enabled. `refused`: texts that get a 400."""

    path = ""

    def __init__(self, port: int = 0) -> None:
        self.events: list[Message] = []
        self.in_bulk = False
        self.refused: set[str] = set()
        self.largest = 0  # bytes of a request with several messages
        super().__init__(port)
        self.url = f"gelf+http://127.0.0.1:{self.port}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        assert path == "/gelf"
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        found = list(map(parse, body.split(b"\n") if self.in_bulk else [body]))
        if any(message.text in self.refused for message in found):
            return 400, b'{"message":"invalid"}'
        self.largest = max(self.largest, len(body) if len(found) > 1 else 0)
        self.events += found
        return 202, b""
