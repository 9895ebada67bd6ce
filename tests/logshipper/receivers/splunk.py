"""Splunk's HTTP Event Collector, as its documentation describes it: one indexer, and a balancer in front of several.

An indexer counts the acknowledgements of each channel from 0, tells each `true` once, and forgets everything that it
has not indexed when it is killed.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.logshipper.receivers.stream import Stream
from tests.logshipper.support import Receiver

TOKEN = "11111111-2222-3333-4444-555555555555"
_MEMBERS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
_TIME = re.compile(r'"time":\d{1,10}\.\d{1,9}[,}]')
_MOST = 1024 * 1024
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Event:
    time: Decimal
    host: str
    source: str
    index: str
    sourcetype: str
    fields: dict[str, str]
    event: Any

    @property
    def text(self) -> str:
        return str(self.event["message"] if isinstance(self.event, dict) else self.event)


def split(body: bytes) -> list[dict[str, Any]]:
    """Return the objects of a request: they follow each other."""
    decoder, text, at, found = json.JSONDecoder(parse_float=Decimal), body.decode(), 0, []
    while (at := _SPACE.match(text, at).end()) < len(text):  # type: ignore[union-attr] # it matches everywhere
        start = at
        one, at = decoder.raw_decode(text, at)
        assert _TIME.search(text, start, at), "a time has up to nine decimals"
        found.append(one)
    return found


def parse(one: dict[str, Any]) -> Event:
    """Parse an event. Raises AssertionError if it differs from the documentation."""
    assert one.keys() <= _MEMBERS
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in one["fields"].items())
    host, source, index, sourcetype = (one.get(name, "") for name in ("host", "source", "index", "sourcetype"))
    assert all(isinstance(text, str) for text in (host, source, index, sourcetype))
    return Event(one["time"], host, source, index, sourcetype, one["fields"], one["event"])


class Splunk(Receiver):
    """One indexer. `acks`: its token has acknowledgement. `holds`: it takes events and indexes none.

    `indexes`: the indexes that there are; None: any. `invalid`: texts of events that it refuses, with code 6.
    """

    path = ""

    def __init__(self, *, acks: bool = True, port: int = 0) -> None:
        self.acks = acks
        self.holds = False
        self.indexes: set[str] | None = None
        self.invalid: set[str] = set()
        self.events: list[Event] = []  # indexed
        self.taken: list[tuple[str, int, list[Event]]] = []  # not indexed yet: the channel, the number, the events
        self.channels: dict[str, int] = {}  # the next number
        self.asked: list[tuple[str, int, bool]] = []  # channel, number, the reply
        self.cookies: list[str] = []
        self._indexed: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        super().__init__(port)
        self.url = f"splunk+http://127.0.0.1:{self.port}"

    def index(self) -> None:
        """Index everything that was taken."""
        with self._lock:
            for channel, number, events in self.taken:
                self.events += events
                self._indexed.add((channel, number))
            self.taken.clear()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        status, reply = self._reply(path, {name.lower(): value for name, value in headers.items()}, body)
        return status, json.dumps(reply).encode()

    def _reply(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        self.cookies.append(headers.get("cookie", ""))
        if "authorization" not in headers:
            return 401, {"text": "Token is required", "code": 2}
        if headers["authorization"] != f"Splunk {TOKEN}":
            return 403, {"text": "Invalid token", "code": 4}
        channel = headers.get("x-splunk-request-channel", "")
        if self.acks and not channel:
            return 400, {"text": "Data channel is missing", "code": 10}
        if channel:
            assert str(uuid.UUID(channel)) == channel
        if path == "/services/collector/ack":
            return self._acknowledge(channel, body)
        assert path == "/services/collector/event", path
        return self._take(channel, gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)

    def _acknowledge(self, channel: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if not self.acks:
            return 400, {"text": "ACK is disabled", "code": 14}
        with self._lock:
            replies = {}
            for number in json.loads(body)["acks"]:
                known = (channel, number) in self._indexed
                self._indexed.discard((channel, number))  # each yes is told once
                self.asked.append((channel, number, known))
                replies[str(number)] = known
        return 200, {"acks": replies}

    def _take(self, channel: str, body: bytes) -> tuple[int, dict[str, Any]]:
        objects = split(body)
        assert len(body) <= _MOST or len(objects) == 1
        if not objects:
            return 400, {"text": "No data", "code": 5}
        for number, one in enumerate(objects):
            if fault := self._fault(one):
                return 400, {**fault, "invalid-event-number": number}
        with self._lock:
            number = self.channels.get(channel, 0)
            self.channels[channel] = number + 1
            self.taken.append((channel, number, list(map(parse, objects))))
        if not self.holds:
            self.index()
        return 200, {"text": "Success", "code": 0, **({"ackId": number} if self.acks else {})}

    def _fault(self, one: dict[str, Any]) -> dict[str, Any] | None:
        if "event" not in one:
            return {"text": "Event field is required", "code": 12}
        if not one["event"]:
            return {"text": "Event field cannot be blank", "code": 13}
        if self.indexes is not None and one.get("index", "main") not in self.indexes:
            return {"text": "Incorrect index", "code": 7}
        if parse(one).text in self.invalid:
            return {"text": "Invalid data format", "code": 6}
        return None


class Balancer(Stream):
    """A balancer of connections (layer 4). Each new connection goes to the next indexer that is alive."""

    def __init__(self, *indexers: Splunk) -> None:
        self._indexers = list(indexers)
        self._turn = itertools.count()
        self._paths: list[tuple[Splunk, socket.socket, socket.socket]] = []
        super().__init__(None)
        self.url = f"splunk+http://127.0.0.1:{self.port}"

    def kill(self, indexer: Splunk) -> None:
        """Kill an indexer: its connections break, and what it has not indexed is gone."""
        self._indexers.remove(indexer)
        for one, *ends in self._paths:
            if one is indexer:
                for end in ends:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
        indexer.taken.clear()

    def converse(self, connection: socket.socket) -> None:
        indexer = self._indexers[next(self._turn) % len(self._indexers)]
        with socket.create_connection(("127.0.0.1", indexer.port)) as inner:
            self._paths.append((indexer, connection, inner))
            threading.Thread(target=_copy, args=(inner, connection), daemon=True).start()
            _copy(connection, inner)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
