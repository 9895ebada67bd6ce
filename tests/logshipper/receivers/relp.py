"""A receiver of RELP, version 0, written from its specification (https://www.rsyslog.com/doc/relp.html)."""

from __future__ import annotations

import re
import socket
import ssl
import threading

from tests.logshipper.receivers.stream import Stream
from tests.logshipper.receivers.syslog import Message, parse

_HEAD = re.compile(rb"([1-9]\d{0,8}) (open|syslog|close) (0|[1-9]\d{0,8})(?: |\n)")


class Relp(Stream):
    """Stores messages, and responds to each.

    `mode`: ok · silent: stored, and no response · cut:N: closes a connection after its first N responses ·
    other: responds under the next number · busy: 500 for messages with the text "busy" · garbage: another protocol ·
    ends: responds to everything, and ends the session · deaf: accepts the connection and reads nothing

    Checked: numbers rise by one from 1, and the length of each frame is right.
    """

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[Message] = []
        self.longest = 0
        self.farewells = 0
        self.commands = b"syslog"
        self.open_code = b"200 OK"
        self._closing = threading.Event()
        super().__init__(context, port)
        self.url = f"relp{'+tls' if context else ''}://localhost:{self.port}"

    def converse(self, connection: socket.socket) -> None:
        with connection:
            if self.mode == "deaf":
                self._closing.wait()
            if self.mode == "garbage":
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            data, expected, messages = b"", 1, 0
            while more := connection.recv(65536):
                data += more
                responses = b""
                while head := _HEAD.match(data):
                    length = int(head[3])
                    stop = head.end() + length + 1 if length else head.end()
                    if len(data) < stop:
                        break
                    assert data[stop - 1 : stop] == b"\n"
                    assert int(head[1]) == expected
                    assert (head[2] == b"open") is (expected == 1)
                    content, data, expected = data[head.end() : stop - 1], data[stop:], expected + 1
                    messages += head[2] == b"syslog"
                    responses += self._respond(int(head[1]), head[2], content)
                    if self.mode == f"cut:{messages}":
                        connection.sendall(responses)
                        return
                connection.sendall(responses)

    def _respond(self, number: int, command: bytes, content: bytes) -> bytes:
        if command == b"close":
            self.farewells += 1
            return b"%d rsp 0\n0 serverclose 0\n" % number
        if command == b"open":
            offers = self.open_code + b"\nrelp_version=0\nrelp_software=test\ncommands=" + self.commands
            return b"%d rsp %d %b\n" % (number, len(offers), offers)
        message = parse(content)
        if self.mode == "busy" and message.text == "busy":
            return b"%d rsp 8 500 busy\n" % number
        self.messages.append(message)
        self.longest = max(self.longest, len(content))
        if self.mode == "silent":
            return b""
        return b"%d rsp 6 200 OK\n" % (number + (self.mode == "other")) + (
            b"0 serverclose 0\n" if self.mode == "ends" else b""
        )

    def close(self) -> None:
        self._closing.set()
        super().close()
