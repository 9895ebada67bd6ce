"""A receiver of the Forward protocol, version 1, as its specification has it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import os
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ormsgpack
from backports import zstd

from tests.logshipper.receivers.stream import Stream

_SHORTEST = 16  # bytes of a nonce
_DECODE: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}


@dataclass(frozen=True)
class Event:
    tag: str
    time: int  # nanoseconds
    record: dict[str, Any]


@dataclass(frozen=True)
class EventTime:
    nanoseconds: int


def _extension(kind: int, data: bytes) -> EventTime:
    assert (kind, len(data)) == (0, 8), "an EventTime is ext type 0 of 8 bytes"
    seconds, nanos = struct.unpack(">II", data)
    assert nanos < 10**9
    return EventTime(seconds * 10**9 + nanos)


def unpack(data: bytes) -> Any:
    return ormsgpack.unpackb(data, ext_hook=_extension)


def entries(packed: bytes, count: int) -> list[Any]:
    """So many objects, one behind the other."""
    found: list[Any] = unpack(struct.pack(">BI", 0xDD, count) + packed)
    return found


class Forward(Stream):
    """`mode`: ok · silent: stored, no acknowledgement · other: an acknowledgement of something else · close: closes
    instead of one · garbage: answers in another protocol.
    """

    def __init__(
        self,
        *,
        shared_key: str = "",
        users: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        proves: bool = True,
    ) -> None:
        self.events: list[Event] = []
        self.options: list[dict[str, Any]] = []
        self.clients: list[str] = []
        self._key = shared_key
        self._users = users or {}
        self._proves = proves
        super().__init__(context)
        self.url = f"forward{'+tls' if context else ''}://localhost:{self.port}"

    def converse(self, connection: socket.socket) -> None:
        with connection:
            if not self._key or self._shake_hands(connection):
                while self._take(connection, self._read(connection)):
                    pass

    @staticmethod
    def _read(connection: socket.socket) -> Any:
        data = b""
        while True:
            more = connection.recv(1 << 20)
            if not more:
                raise EOFError
            data += more
            with contextlib.suppress(ormsgpack.MsgpackDecodeError):
                return unpack(data)

    def _shake_hands(self, connection: socket.socket) -> bool:
        nonce, auth = os.urandom(_SHORTEST), os.urandom(_SHORTEST) if self._users else b""
        connection.sendall(ormsgpack.packb(["HELO", {"nonce": nonce, "auth": auth, "keepalive": True}]))
        ping = self._read(connection)
        if ping[0] != "PING":
            return False
        _, hostname, salt, digest, user, password = ping
        assert isinstance(salt, bytes)
        key = self._key.encode()
        reason = ""
        if digest != hashlib.sha512(salt + hostname.encode() + nonce + key).hexdigest():
            reason = "shared_key mismatch"
        elif auth and password != hashlib.sha512(auth + user.encode() + self._users.get(user, "").encode()).hexdigest():
            reason = "username/password mismatch"
        proof = hashlib.sha512(salt + b"receiver" + nonce + (key if self._proves else b"")).hexdigest()
        connection.sendall(ormsgpack.packb(["PONG", not reason, reason, "receiver", "" if reason else proof]))
        self.clients.append(hostname)
        return not reason

    def _take(self, connection: socket.socket, message: Any) -> bool:
        tag, packed, option = message
        assert isinstance(packed, bytes)
        assert len(base64.b64decode(option["chunk"], validate=True)) == 16
        for time, record in entries(_DECODE[option.get("compressed")](packed), option["size"]):
            self.events.append(Event(tag, time.nanoseconds, record))
        self.options.append(option)
        if self.mode == "close":
            return False
        if self.mode == "garbage":
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif self.mode != "silent":
            ack = "AAAAAAAAAAAAAAAAAAAAAA==" if self.mode == "other" else option["chunk"]
            connection.sendall(ormsgpack.packb({"ack": ack}))
        return True
