"""What must survive: the positions, and how they look on disk.

Theory of operation. There are two files of state. The *snapshot* (`positions.json`) is everything, written aside,
flushed and renamed, about once a second. The *journal* beside it has what happened since, a line for each event:

    file    a generation is followed from now on, or is found elsewhere
    send    the batches that are on their way to this sink from now on: exactly these ranges, in order
    done    the sink said yes to these positions, or they were dropped and counted
    gone    a generation is let go

A journal line is written, not flushed: it survives kill -9, and costs microseconds. After a loss of power its end may
be missing; then what was delivered since the snapshot is delivered again, and nothing is lost. Since `send` comes
before a batch leaves, a process that was killed repeats the very batches that may have arrived, with the same keys.

A line of the journal that does not match its checksum ends it. A snapshot that is not ours, torn or newer is an error
that a person must see: reading on from nothing would silently ship everything again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecars.logshipper.model.fingerprint import START, Fingerprint

VERSION = 1

Entry = list[Any]
ChunkRange = tuple[str, int, int, int, bool]
"""One part of a batch: generation, position, start, end, partial."""


@dataclass(slots=True)
class FileState:
    """A generation: who it is, and how far each sink has it."""

    generation: str  # random id
    first_path: str  # under which it was first seen: records show it
    path: str  # where it was last seen
    input: str
    device: int
    inode: int
    size: int = 0
    prefix: Fingerprint = START
    seen: Fingerprint = START  # the end of what was seen of it, shipped or not
    positions: dict[str, Fingerprint] = field(default_factory=dict)


@dataclass(slots=True)
class SinkState:
    """A sink: the batches that may be on their way, and what the sink wants to remember with its last yes."""

    sending: list[list[ChunkRange]] = field(default_factory=list)
    receipt: Any = None


@dataclass(slots=True)
class State:
    files: dict[str, FileState] = field(default_factory=dict)
    sinks: dict[str, SinkState] = field(default_factory=dict)
    journal: int = 0  # the number of the journal that goes on from here


# -- the snapshot ------------------------------------------------------------------------------------------------------


def dump(state: State, journal: int) -> bytes:
    files = [
        {
            **_describe(file),
            "size": file.size,
            "prefix": _mark(file.prefix),
            "seen": _mark(file.seen),
            "positions": {sink: _mark(mark) for sink, mark in file.positions.items()},
        }
        for file in state.files.values()
    ]
    sinks = {name: {"sending": sink.sending, "receipt": sink.receipt} for name, sink in state.sinks.items()}
    body = json.dumps({"files": files, "sinks": sinks}, separators=(",", ":"))
    head = {"version": VERSION, "journal": journal, "checksum": _checksum(body.encode())}
    return f"{json.dumps(head, separators=(',', ':'))}\n{body}\n".encode()


def load(data: bytes) -> State:
    """The state of a snapshot. Raises ValueError, with the rest of a sentence, when it cannot be relied on."""
    head_line, _, rest = data.partition(b"\n")
    body, end, _ = rest.partition(b"\n")
    try:
        head = json.loads(head_line)
        version, journal, checksum = head["version"], head["journal"], head["checksum"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("is not a state file of logshipper, or is torn") from None
    if version != VERSION:
        raise ValueError(f"has version {version}, and this logshipper reads version {VERSION}")
    if not end or checksum != _checksum(body):
        raise ValueError("is torn: its checksum does not match")
    try:
        page = json.loads(body)
        state = State(journal=int(journal))
        for item in page["files"]:
            file = _file(item)
            file.size, file.prefix, file.seen = item["size"], Fingerprint(*item["prefix"]), Fingerprint(*item["seen"])
            file.positions = {sink: Fingerprint(*mark) for sink, mark in item["positions"].items()}
            state.files[file.generation] = file
        for name, item in page["sinks"].items():
            state.sinks[name] = SinkState(_batches(item["sending"]), item["receipt"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"has a right checksum and a wrong content ({error})") from None
    return state


# -- the journal -------------------------------------------------------------------------------------------------------


def file_entry(file: FileState) -> Entry:
    return ["file", _describe(file), _mark(file.prefix), _mark(file.seen)]


def send_entry(sink: str, batches: list[list[ChunkRange]]) -> Entry:
    return ["send", sink, batches]


def done_entry(sink: str, positions: dict[str, Fingerprint], receipt: Any) -> Entry:
    return ["done", sink, {file: _mark(mark) for file, mark in positions.items()}, receipt]


def gone_entry(file: str) -> Entry:
    return ["gone", file]


def journal_line(entry: Entry) -> bytes:
    body = json.dumps(entry, separators=(",", ":")).encode()
    return b"%b %b\n" % (_checksum(body).encode(), body)


def journal_entries(data: bytes) -> Iterator[Entry]:
    """The entries up to the first line that is torn."""
    for line in data.split(b"\n")[:-1]:
        checksum, _, body = line.partition(b" ")
        if checksum.decode("ascii", "replace") != _checksum(body):
            return
        yield json.loads(body)


def apply(state: State, entry: Entry) -> None:
    """Bring the state to where it was after the entry. Entries about what is not known (any more) change nothing."""
    match entry:
        case ["file", dict(item), list(prefix), list(seen)]:
            file = _file(item)
            known = state.files.setdefault(file.generation, file)
            known.path, known.device, known.inode = file.path, file.device, file.inode
            known.prefix, known.seen = Fingerprint(*prefix), Fingerprint(*seen)
            known.size = max(known.size, known.seen.offset)
        case ["send", str(sink), list(batches)]:
            state.sinks.setdefault(sink, SinkState()).sending = _batches(batches)
        case ["done", str(sink), dict(positions), receipt]:
            for name, mark in positions.items():
                if name in state.files:
                    settle(state.files[name], sink, Fingerprint(*mark))
            state.sinks.setdefault(sink, SinkState()).receipt = receipt
        case ["gone", str(name)]:
            state.files.pop(name, None)


def settle(file: FileState, sink: str, mark: Fingerprint) -> None:
    """The sink's position in the file is now here."""
    file.positions[sink] = mark
    file.size = max(file.size, mark.offset)


# -- pieces of both ----------------------------------------------------------------------------------------------------


def _describe(file: FileState) -> dict[str, Any]:
    return {
        "id": file.generation,
        "name": file.first_path,
        "path": file.path,
        "input": file.input,
        "device": file.device,
        "inode": file.inode,
    }


def _file(item: dict[str, Any]) -> FileState:
    return FileState(
        str(item["id"]),
        str(item["name"]),
        str(item["path"]),
        str(item["input"]),
        int(item["device"]),
        int(item["inode"]),
    )


def _mark(mark: Fingerprint) -> list[Any]:
    return [mark.offset, mark.length, mark.digest]


def _batches(items: list[list[Any]]) -> list[list[ChunkRange]]:
    return [[_range(item) for item in batch] for batch in items]


def _range(item: Any) -> ChunkRange:
    file, position, start, end, partial = item
    return (str(file), int(position), int(start), int(end), bool(partial))


def _checksum(body: bytes) -> str:
    return f"{zlib.crc32(body):08x}"
