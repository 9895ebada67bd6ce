"""Loki's push API, written from its documentation and its push.proto."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.logshipper.support import Receiver

_FIELD = descriptor_pb2.FieldDescriptorProto
_LABELS = re.compile(r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)+\}')


def _messages() -> Any:
    """Return the messages of push.proto, declared here a second time."""
    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, int, str, bool]) -> None:
        declared = file.message_type.add(name=name)
        for field, number, kind, of, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            declared.field.add(
                name=field, number=number, type=kind, label=label, type_name=f".logproto.{of}" if of else None
            )

    message("Timestamp", ("seconds", 1, _FIELD.TYPE_INT64, "", False), ("nanos", 2, _FIELD.TYPE_INT32, "", False))
    message("LabelPair", ("name", 1, _FIELD.TYPE_STRING, "", False), ("value", 2, _FIELD.TYPE_STRING, "", False))
    message(
        "Entry",
        ("timestamp", 1, _FIELD.TYPE_MESSAGE, "Timestamp", False),
        ("line", 2, _FIELD.TYPE_STRING, "", False),
        ("structuredMetadata", 3, _FIELD.TYPE_MESSAGE, "LabelPair", True),
    )
    message(
        "Stream",
        ("labels", 1, _FIELD.TYPE_STRING, "", False),
        ("entries", 2, _FIELD.TYPE_MESSAGE, "Entry", True),
        ("hash", 3, _FIELD.TYPE_UINT64, "", False),
    )
    message("PushRequest", ("streams", 1, _FIELD.TYPE_MESSAGE, "Stream", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))


PushRequest = _messages()


@dataclass(frozen=True)
class Entry:
    labels: dict[str, str]
    time: int
    line: str
    metadata: dict[str, str]


def from_json(body: bytes) -> list[Entry]:
    entries = []
    for stream in json.loads(body)["streams"]:
        assert stream["stream"], "a stream without labels"
        for value in stream["values"]:
            time, line, metadata = (*value, {})[:3]
            assert isinstance(time, str)
            assert all(isinstance(item, str) for pair in metadata.items() for item in pair)
            entries.append(Entry(stream["stream"], int(time), line, metadata))
    return entries


def from_protobuf(body: bytes) -> list[Entry]:
    entries = []
    for stream in PushRequest.FromString(body).streams:
        assert _LABELS.fullmatch(stream.labels), stream.labels
        labels = {name: json.loads(value) for name, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', stream.labels)}
        for entry in stream.entries:
            time = entry.timestamp.seconds * 10**9 + entry.timestamp.nanos
            metadata = {pair.name: pair.value for pair in entry.structuredMetadata}
            entries.append(Entry(labels, time, entry.line, metadata))
    return entries


class Loki(Receiver):
    """Stores entries. `mode` may also be blocked (260, nothing is stored), old (no structured metadata), or late:<ns>.

    late: entries before that time are ignored, with the ingester's 400. `shown`: the number of entries that it names.
    """

    path = ""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.url = f"loki+{self.url}"
        self.entries: list[Entry] = []
        self._places: set[tuple[Any, ...]] = set()  # labels, time and line of each
        self.shown = 10

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path != "/loki/api/v1/push":
            return 404, b"404 page not found"
        if headers["Content-Type"] == "application/x-protobuf":
            assert "Content-Encoding" not in headers
            entries = from_protobuf(bytes(cramjam.snappy.decompress_raw(body)))
        else:
            assert headers["Content-Type"] == "application/json"
            entries = from_json(gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body)
        if self.mode == "blocked":
            return 260, b"ingestion blocked"
        if self.mode == "old":
            return 400, b"stream '{a=\"b\"}' includes structured metadata, but this feature is disallowed."
        oldest = int(self.mode.removeprefix("late:")) if self.mode.startswith("late:") else 0
        for entry in entries:
            place = (*sorted(entry.labels.items()), entry.time, entry.line)
            if entry.time >= oldest and place not in self._places:
                self._places.add(place)
                self.entries.append(entry)
        late = [entry for entry in entries if entry.time < oldest]
        return (400, self._ignored(late, len(entries), oldest).encode()) if late else (204, b"")

    def _ignored(self, late: list[Entry], total: int, oldest: int) -> str:
        lines = [
            f"entry with timestamp {_go(entry.time)} ignored, reason: 'entry too far behind, entry timestamp is: "
            f"{_go(entry.time)}, oldest acceptable timestamp is: {_go(oldest)}',\n"
            for entry in late[: self.shown]
        ]
        return (
            "".join(lines) + f"user 'fake', total ignored: {len(late)} out of {total} for stream: {{pod=\"shop-1\"}}\n"
        )


def _go(time: int) -> str:
    """Return the time as Go's time.Time.String: without zeros at the end of the fraction."""
    seconds, nanos = divmod(time, 10**9)
    fraction = f".{nanos:09}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
