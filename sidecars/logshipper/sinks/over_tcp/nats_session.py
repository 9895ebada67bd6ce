r"""NATS with JetStream, on one connection: publications out, acknowledgements in. No I/O.

https://docs.nats.io/reference/reference-protocols/nats-protocol, and for JetStream ADR-4 and ADR-15 of
https://github.com/nats-io/nats-architecture-and-design

    server   INFO {…}\r\n
    we       CONNECT {…}\r\n   SUB <inbox>.* 1\r\n   PING\r\n
    server   PONG\r\n                                             the credentials are right
    we       HPUB <subject> <inbox>.<number> <header> <all>\r\nNATS/1.0\r\nNats-Msg-Id: <id>\r\n\r\n<record>\r\n
    server   MSG <inbox>.<number> 1 <length>\r\n{"stream":"LOGS","seq":7}\r\n

The stream acknowledges each publication to its own subject below our inbox, which is random. Numbers are used once. An
acknowledgement for a number that is not awaited ends the session, and nothing of it counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sidecars.chassis.http.peer_text import sanitized
from sidecars.logshipper.sinks.protocols.connecting import SessionFailed as SessionFailed  # noqa: PLC0414 - what it raises

_LONGEST_LINE = 64 * 1024  # bytes: an INFO names the servers of a cluster
_LONGEST_PAYLOAD = 16 * 1024  # bytes of an acknowledgement with its header
_PLAIN = re.compile(rb"MSG (?P<subject>\S{1,200}) 1 (?:\S{1,200} )?(?P<length>\d{1,9})")
_WITH_HEADER = re.compile(rb"HMSG (?P<subject>\S{1,200}) 1 (?:\S{1,200} )?(?P<header>\d{1,9}) (?P<length>\d{1,9})")
_STATUS = re.compile(rb"NATS/1\.0 (\d{3})")
_NO_RESPONDERS = b"503"
_TOO_LARGE = 10054  # the error's number of a message that is larger than the stream takes
_HEADER = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n"
_NOT_NATS = "the receiver does not speak NATS"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The first message of the server: its limits and abilities."""

    max_payload: int  # bytes of a publication, with its header
    headers: bool
    tls_required: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """The decision on one publication. `reason`: why it is not stored; "" if it is. `is_final`: it will never be."""

    number: int
    reason: str = ""
    is_final: bool = False


class NatsSession:
    """The state of one connection. `inbox`: a random subject of ours."""

    def __init__(self, subject: str, inbox: str) -> None:
        self.info: ServerInfo | None = None
        self.is_open = False
        self.next = 0
        self._subject = subject
        self._inbox = inbox
        self._begin = f"{inbox}.".encode()
        self._awaited: set[int] = set()
        self._buffer = b""
        self._pongs = 0  # that we owe

    @property
    def awaited(self) -> int:
        """The number of acknowledgements that are still to come."""
        return len(self._awaited)

    def opening(self, credentials: Mapping[str, str], *, tls: bool) -> bytes:
        """Return our first messages. `credentials`: members of CONNECT, such as `auth_token`."""
        self.is_open = False  # whatever came before TLS
        options = {
            "verbose": False,
            "pedantic": False,
            "tls_required": tls,
            "name": "logshipper",
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            **credentials,
        }
        return b"CONNECT %b\r\nSUB %b* 1\r\nPING\r\n" % (orjson.dumps(options), self._begin)

    def size(self, ident: bytes, record: bytes) -> int:
        """Return the bytes of a publication that count for `max_payload`."""
        return len(_HEADER) - len(b"%b") + len(ident) + len(record)

    def publish(self, events: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the publications of these ids and records. They are awaited now, under rising numbers."""
        subject, inbox = self._subject.encode(), self._inbox.encode()
        pieces: list[bytes] = []
        for number, (ident, record) in enumerate(events, self.next):
            header = _HEADER % ident
            pieces.append(
                b"HPUB %b %b.%d %d %d\r\n%b%b\r\n"
                % (subject, inbox, number, len(header), len(header) + len(record), header, record)
            )
        self._awaited.update(range(self.next, self.next + len(events)))
        self.next += len(events)
        return b"".join(pieces)

    def pongs(self) -> bytes:
        """Return the answers to the server's PINGs."""
        owed, self._pongs = self._pongs, 0
        return b"PONG\r\n" * owed

    def receive(self, data: bytes) -> list[Ack]:
        """Take bytes of the server's, and return its decisions in them.

        Raises SessionFailed; nothing of the session counts then.
        """
        data = self._buffer + data
        acks: list[Ack] = []
        at = 0
        while (stop := data.find(b"\r\n", at)) >= 0:
            line = data[at:stop]
            if len(line) > _LONGEST_LINE:
                raise SessionFailed(_NOT_NATS)
            if line[:4] == b"MSG " or line[:5] == b"HMSG ":
                end = self._message(line, data, stop + 2, acks)
                if not end:
                    break
                at = end
            else:
                self._control(line)
                at = stop + 2
        self._buffer = data[at:]
        if len(self._buffer) > _LONGEST_LINE + _LONGEST_PAYLOAD:
            raise SessionFailed(_NOT_NATS)
        return acks

    # -- messages of the server ----------------------------------------------------------------------------------------

    def _control(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if word == b"INFO":
            self.info = _info(rest)
        elif self.info is None:
            raise SessionFailed(_NOT_NATS)
        elif word == b"PING":
            self._pongs += 1
        elif word == b"PONG":
            self.is_open = True
        elif word == b"-ERR":
            raise SessionFailed(_error(rest))
        elif word != b"+OK":
            raise SessionFailed(_NOT_NATS)

    def _message(self, line: bytes, data: bytes, start: int, acks: list[Ack]) -> int:
        """Take the message after its line, and return where it ends; 0 if it is not whole yet."""
        found = _PLAIN.fullmatch(line) or _WITH_HEADER.fullmatch(line)
        if found is None:
            raise SessionFailed(_NOT_NATS)
        header, length = int(found.groupdict().get("header", 0)), int(found["length"])
        if length > _LONGEST_PAYLOAD or header > length:
            raise SessionFailed("the server's message is too long for an acknowledgement")
        stop = start + length
        if len(data) < stop + 2:
            return 0
        if data[stop : stop + 2] != b"\r\n" or not found["subject"].startswith(self._begin):
            raise SessionFailed(_NOT_NATS)
        number = found["subject"].removeprefix(self._begin)
        if not number.isdigit() or int(number) not in self._awaited:
            raise SessionFailed("the server acknowledged something that it was not sent")
        self._awaited.remove(int(number))
        acks.append(self._ack(int(number), data[start : start + header], data[start + header : stop]))
        return stop + 2

    def _ack(self, number: int, header: bytes, payload: bytes) -> Ack:
        status = _STATUS.match(header)
        if status is not None and status[1] == _NO_RESPONDERS:
            return Ack(number, f"no stream takes the subject {self._subject}: create it, or is JetStream disabled?")
        try:
            found = orjson.loads(payload)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            return Ack(number, "the response to a publication is not that of a stream")
        error = found.get("error")
        if isinstance(error, dict):
            text = sanitized(str(error.get("description", "no text")))
            is_final = error.get("err_code") == _TOO_LARGE
            return Ack(number, f"the stream did not take a message: {text}", is_final)
        sequence = found.get("seq")
        if error is not None or not isinstance(found.get("stream"), str) or type(sequence) is not int or sequence < 1:
            return Ack(number, "the response to a publication is not that of a stream")
        return Ack(number)


def _info(text: bytes) -> ServerInfo:
    try:
        found: Any = orjson.loads(text)
        largest = found["max_payload"]
    except (ValueError, TypeError, LookupError):
        raise SessionFailed(_NOT_NATS) from None
    if not isinstance(found, dict) or type(largest) is not int or largest < 1:
        raise SessionFailed(_NOT_NATS)
    return ServerInfo(largest, bool(found.get("headers")), bool(found.get("tls_required")))


def _error(text: bytes) -> str:
    """Return a sentence for an error of the server's. Its text stands in quotes."""
    words = sanitized(text.strip(b"' ").decode("utf-8", "replace"))
    reason = f"the server refuses us: {words}"
    return f"{reason} (are the credentials right?)" if "uth" in words else reason
