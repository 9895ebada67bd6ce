"""A receiver of the Forward protocol, version 1, written from its specification."""

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

_SHORTEST = 16  # bytes of a nonce or a salt
_LONGEST_PING = 1023  # bytes, to Fluent Bit
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
    """Return the `count` objects of a sequence."""
    found: list[Any] = unpack(struct.pack(">BI", 0xDD, count) + packed)
    return found


def _string(data: bytes) -> bytes:
    """Return a MessagePack string of 16 bytes that is no UTF-8: a library that checks strings does not write it."""
    assert len(data) == _SHORTEST
    return b"\xb0" + data


class Forward(Stream):
    """A receiver that stores all events.

    `mode`: ok · silent: stored, no acknowledgement · other: an acknowledgement of another chunk · close: closes
    instead of an acknowledgement · garbage: responds in another protocol.

    `like`: the implementation whose handshake it has. `fluentd` sends its nonce as binary data, and a reason for a
    wrong key. `fluent-bit` sends its nonce as a string of any bytes, accepts a PING of at most 1,023 bytes with strings
    only, and closes the connection after a wrong key.

    `proves`: key: by the shared key · nothing: by another key · echo: with the digest and the name that it was sent.
    """

    def __init__(
        self,
        *,
        shared_key: str = "",
        users: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        proves: str = "key",
        name: str = "receiver",
        like: str = "fluentd",
        keepalive: bool = True,
    ) -> None:
        self.events: list[Event] = []
        self.options: list[dict[str, Any]] = []
        self.clients: list[str] = []
        self.salts: list[str] = []
        self._key = shared_key
        self._users = users or {}
        self._proves = proves
        self._name = name
        self._like = like
        self._keepalive = keepalive
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

    def _helo(self, nonce: bytes, auth: bytes) -> bytes:
        if self._like == "fluentd":
            options = {"nonce": nonce, "auth": auth, "keepalive": self._keepalive}
            return ormsgpack.packb(["HELO", options])
        head = ormsgpack.packb("HELO")
        return b"\x92" + head + b"\x82\xa5nonce" + _string(nonce) + b"\xa4auth" + _string(auth or bytes(_SHORTEST))

    def _shake_hands(self, connection: socket.socket) -> bool:
        """Exchange HELO, PING and PONG, by the specification's chapter "Handshake Messages"."""
        nonce = b"\xff" + os.urandom(_SHORTEST - 1)  # never UTF-8
        auth = os.urandom(_SHORTEST) if self._users else b""
        connection.sendall(self._helo(nonce, auth))
        ping = self._read(connection)
        if ping[0] != "PING":
            return False
        assert len(ping) == 6
        assert all(isinstance(member, str) for member in ping), "the specification has strings, and no binary data"
        assert len(ormsgpack.packb(ping)) <= _LONGEST_PING
        _, hostname, salt, digest, user, password = ping
        assert len(salt) >= _SHORTEST
        key, spice = self._key.encode(), salt.encode()
        reason = ""
        if digest != hashlib.sha512(spice + hostname.encode() + nonce + key).hexdigest():
            if self._like == "fluent-bit":
                return False
            reason = "shared_key mismatch"
        elif auth and password != hashlib.sha512(auth + user.encode() + self._users.get(user, "").encode()).hexdigest():
            reason = "username/password mismatch"
        elif not auth and self._like == "fluentd":
            assert (user, password) == ("", "")
        name, proof = self._name, hashlib.sha512(spice + self._name.encode() + nonce + key).hexdigest()
        if self._proves == "nothing":
            proof = hashlib.sha512(spice + self._name.encode() + nonce).hexdigest()
        elif self._proves == "echo":
            name, proof, reason = hostname, digest, ""
        pong = ["PONG", not reason, reason, "" if reason else name, "" if reason else proof]
        connection.sendall(ormsgpack.packb(pong))
        self.clients.append(hostname)
        self.salts.append(salt)
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
        return self._keepalive
