"""A syslog receiver by the letter of RFC 5424, with octet counting as in RFC 6587 (3.4.1) and RFC 5425 (4.3)."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime

from tests.logshipper.receivers.stream import Stream

_ASCII = "[!-~]"
_HEADER = re.compile(
    rf"<(?P<pri>0|[1-9][0-9]{{0,2}})>1 (?P<time>-|\S+) (?P<host>{_ASCII}{{1,255}}) (?P<app>{_ASCII}{{1,48}}) "
    rf"(?P<procid>{_ASCII}{{1,128}}) (?P<msgid>{_ASCII}{{1,32}}) "
)
_NAME = r"[!#-<>-\\^-~]{1,32}"  # PRINTUSASCII without =, space, ] and "
_PARAMETER = re.compile(rf' ({_NAME})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ELEMENT = re.compile(rf"\[({_NAME})")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_LENGTH = re.compile(rb"([1-9][0-9]{0,9}) ")


@dataclass(frozen=True)
class Message:
    facility: int
    severity: int
    time: datetime | None
    host: str
    app: str
    data: dict[str, str]  # the parameters of the one element
    text: str


def parse(frame: bytes) -> Message:
    """Parse a message. Raises AssertionError if it differs from RFC 5424."""
    text = frame.decode()
    head = _HEADER.match(text)
    assert head, frame
    assert int(head["pri"]) <= 191
    assert head["time"] == "-" or _TIME.fullmatch(head["time"]), head["time"]
    at = head.end()
    element = _ELEMENT.match(text, at)
    assert element, frame
    data, at = {}, element.end()
    while parameter := _PARAMETER.match(text, at):
        assert parameter[1] not in data
        data[parameter[1]] = re.sub(r'\\(["\\\]])', r"\1", parameter[2])
        at = parameter.end()
    assert text[at : at + 2] == "] ", text[at:]
    time = None if head["time"] == "-" else datetime.fromisoformat(head["time"])
    facility, severity = divmod(int(head["pri"]), 8)
    return Message(facility, severity, time, head["host"], head["app"], data, text[at + 2 :])


def split(stream: bytes) -> tuple[list[bytes], bytes]:
    """Return the complete frames, and the rest."""
    found, at = [], 0
    while length := _LENGTH.match(stream, at):
        stop = length.end() + int(length[1])
        if stop > len(stream):
            break
        found.append(stream[length.end() : stop])
        at = stop
    return found, stream[at:]


class Syslog(Stream):
    """Stores messages. `mode`: ok · deaf: accepts connections and reads nothing · cut:N · talkative: sends without end.

    cut: closes a connection after N bytes, without reading the rest.
    """

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[Message] = []
        self._closing = threading.Event()
        super().__init__(context, port, window=4096)
        self.url = f"syslog+{'tls' if context else 'tcp'}://localhost:{self.port}"

    def converse(self, connection: socket.socket) -> None:
        stream, seen = b"", 0
        if self.mode == "deaf":
            self._closing.wait()
        if self.mode == "talkative":
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()
        limit = int(self.mode.removeprefix("cut:")) if self.mode.startswith("cut:") else 1 << 60
        while data := connection.recv(min(65536, limit - seen)):
            seen += len(data)
            frames, stream = split(stream + data)
            self.messages += map(parse, frames)
            if seen >= limit:
                connection.close()
                return

    @staticmethod
    def _talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"<13>1 - - - - - - here is what I think of it\n" * 1000)

    def close(self) -> None:
        self._closing.set()
        super().close()
