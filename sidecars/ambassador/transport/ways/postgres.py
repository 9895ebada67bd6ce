"""The beginning of a connection in PostgreSQL's protocol, on both sides. No I/O.

    client                                  server
    SSLRequest: 8, 80877103           ──▶
                                      ◀──   S: TLS follows    N: there is none    E…: an error of an old server
    TLS ClientHello                   ──▶

https://www.postgresql.org/docs/current/protocol-flow.html, "SSL Session Encryption". Bytes behind the S were not
encrypted, so they may be anybody's (CVE-2021-23222). The text of an error before TLS is not shown, for the same reason.
"""

from __future__ import annotations

import struct
from typing import Final

from sidecars.ambassador.http.local_replies import Cause

_PACKET: Final = struct.Struct("!II")  # the length, itself included, and the code
_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_TLS_RECORD = 0x16  # the first byte of a ClientHello
_LONGEST_MESSAGE = 1024  # bytes, of those that are looked at
_SASL: Final = struct.Struct("!I")  # the kind of authentication
_AUTHENTICATION_SASL = 10
_MESSAGE: Final = struct.Struct("!cI")  # the type, and the length, itself included
_LONGEST_KEY = 4 + 256  # bytes: the number of the process, and its secret (protocol 3.2)
_MOST_REQUESTS = 2  # for encryption: one for GSSAPI, one for TLS

SSL_REQUEST: Final = _PACKET.pack(_PACKET.size, _SSL)
REFUSAL: Final = b"N"

NO_TLS: Final = Cause("tls_protocol_error", 502, "the server offers no TLS (it refused SSLRequest)")
_ERROR: Final = Cause("tls_protocol_error", 502, "the server answered SSLRequest with an error")
_NO_POSTGRES: Final = Cause("tls_protocol_error", 502, "the server does not speak PostgreSQL's protocol")
_TOO_EARLY: Final = Cause("tls_protocol_error", 502, "the server sent more than its answer before TLS began")


def fault_of_answer(answer: bytes) -> Cause | None:
    """Return the cause why TLS may not follow this answer to SSLRequest, of at least one byte; None if it may."""
    if answer == b"S":
        return None
    if answer[:1] == b"S":
        return _TOO_EARLY
    return {b"N": NO_TLS, b"E": _ERROR}.get(answer[:1], _NO_POSTGRES)


class NotPostgres(Exception):
    """A client does not begin as PostgreSQL's do. The text is a clause."""


class ClientStart:
    """The beginning of a client's connection: its requests for encryption are refused, the rest is passed on.

    Encryption begins behind this process: the way from a client is loopback.
    """

    __slots__ = ("_held", "_requests", "cancel_key", "is_over")

    def __init__(self) -> None:
        self.is_over = False  # True once the client has begun without encryption: all bytes are passed on
        self.cancel_key = b""  # of the session that the client wants to cancel, if this is its beginning
        self._held = b""
        self._requests = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the answer to the client, and the bytes to pass on. Raises NotPostgres."""
        self._held += data
        if self._held[0] == _TLS_RECORD:
            raise NotPostgres("it begins with TLS: it must speak plain text to localhost (sslmode=disable)")
        if len(self._held) < _PACKET.size:
            return b"", b""
        length, code = _PACKET.unpack_from(self._held)
        is_cancelling = code == _CANCEL and length <= _PACKET.size + _LONGEST_KEY
        if is_cancelling and len(self._held) < length:
            return b"", b""
        if code not in (_SSL, _GSS):
            self.is_over = True
            begun, self._held = self._held, b""
            if is_cancelling:
                self.cancel_key = begun[_PACKET.size : length]
            return b"", begun
        self._requests += 1
        if length != _PACKET.size or len(self._held) > length or self._requests > _MOST_REQUESTS:
            raise NotPostgres("it asks for encryption in a way that PostgreSQL's protocol does not have")
        self._held = b""
        return REFUSAL, b""


class ServerStart:
    """The beginning of a server's messages, up to the key by which the session may be cancelled (BackendKeyData).

    An offer to bind the exchange of a password to TLS is taken out (SCRAM-SHA-256-PLUS, RFC 5802 section 6): the client
    has no TLS of its own, and libpq gives up if it sees the offer. The exchange goes on as without TLS, within ours.
    """

    __slots__ = ("_held", "_passing", "is_over", "key")

    def __init__(self) -> None:
        self.is_over = False  # True once the key, or a message behind its place, has come: all bytes are passed on
        self.key = b""  # the number of the process and its secret
        self._held = b""  # an unfinished message of at most `_LONGEST_MESSAGE`
        self._passing = 0  # bytes of a message that are to come and of no interest

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the server. Return those for the client."""
        held = self._held + data
        passed = []
        at = 0  # of the next message: however many there are, what is behind them is cut off once
        while not self.is_over and (size := self._next(held, at)):
            passed.append(self._read(held[at : at + size]))
            at += size
        self._held = held[at:]
        if self.is_over:
            passed.append(self.end())
        return b"".join(passed)

    def end(self) -> bytes:
        """Return the bytes that are held: the server sends no more, or nothing of interest."""
        held, self._held = self._held, b""
        return held

    def _next(self, held: bytes, at: int) -> int:
        """Return the size of the next piece: a message of interest, or a part of another one; 0: more must come."""
        left = len(held) - at
        if not self._passing:
            if left < _MESSAGE.size:
                return 0
            kind, length = _MESSAGE.unpack_from(held, at)
            if kind == b"Z" or length < _MESSAGE.size - 1:
                self.is_over = True
                return 0
            if kind in (b"R", b"K") and length < _LONGEST_MESSAGE:
                return length + 1 if left > length else 0
            self._passing = length + 1
        return min(left, self._passing)

    def _read(self, piece: bytes) -> bytes:
        """Return the bytes to pass on for a piece."""
        if self._passing:
            self._passing -= len(piece)
            return piece
        if piece[:1] == b"R":
            return without_channel_binding(piece)
        self.key, self.is_over = piece[_MESSAGE.size :], True
        return piece


def without_channel_binding(message: bytes) -> bytes:
    """Return a message of authentication without an offer that needs the client's own TLS."""
    head = _MESSAGE.size + _SASL.size
    if message[_MESSAGE.size : head] != _SASL.pack(_AUTHENTICATION_SASL) or b"-PLUS\0" not in message:
        return message
    names = [name for name in message[head:].split(b"\0") if name and not name.endswith(b"-PLUS")]
    body = b"".join(name + b"\0" for name in names) + b"\0"
    return _MESSAGE.pack(b"R", len(body) + head - 1) + message[_MESSAGE.size : head] + body


def error_message(text: str) -> bytes:
    """Return an ErrorResponse that ends a session before it began: FATAL, connection_failure (08006)."""
    fields = b"".join(
        name + value.encode("ascii", "replace") + b"\0"
        for name, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", "08006"), (b"M", text))
    )
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"
