"""Checkpoints: the state that must survive a crash, and its format on disk. Pure.

Theory of operation. The state is in two files:

- The *snapshot*, `positions.json`, has the whole state. It is written to another file, flushed and renamed, about once
  a second.
- The *journal*, `journal-<n>`, has the changes since the snapshot, one line each:

| entry | meaning |
|---|---|
| `file` | a generation is followed from now on, or was found under another path |
| `send` | exactly these batches are in flight to this sink from now on, in this order: see `sent_batches` |
| `done` | the sink has decided on everything up to these positions: it was delivered, or dropped and counted |
| `gone` | a generation is forgotten |

A journal line is written and not flushed: it survives kill -9, and costs microseconds. After a loss of power the
journal's end may be missing. Then lines that were delivered since the snapshot are delivered again; none is lost.

`send` is written before a batch is sent. So a process that starts after kill -9 sends again exactly the batches that
may have arrived, with the same keys.

A journal ends at the first line that does not match its checksum. A snapshot that has another format, is torn, or is of
a newer version is an error for a person: a start without it would silently ship everything again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.state import saved_values, sent_batches
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.sent_batches import SentBatch

VERSION = 1
HIGHEST_JOURNAL = 10**15  # number of a journal, exclusive

JournalEntry = list[Any]
"""An entry of the journal: its kind, then its values, as JSON has them."""


_PIECE = 64 * 1024  # bytes: about 100 files, a millisecond or two
_OF_A_FILE = {"id", "name", "path", "input", "device", "inode", "size", "prefix", "seen", "positions"}
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class SinkState:
    """A sink: its batches in flight, and its receipt. Changed by the `Store` alone."""

    sending: list[SentBatch] = field(default_factory=list)  # the batches in flight, oldest first
    receipt: Any = None  # any JSON value that the sink returned with its last decision


@dataclass(slots=True)
class State:
    """The whole state, owned by the `Store`."""

    files: dict[str, FileState] = field(default_factory=dict)  # by generation
    sinks: dict[str, SinkState] = field(default_factory=dict)  # by name
    journal: int = 0  # number of the first journal that continues this state


# -- the snapshot ------------------------------------------------------------------------------------------------------


def dump(state: State, journal: int) -> bytes:
    """Return the snapshot of the state. `journal` is the number of the first journal that continues it."""
    whole = bytearray()
    for offset, piece in pieces(state, journal):
        whole[offset : offset + len(piece)] = piece
    return bytes(whole)


def pieces(state: State, journal: int) -> Iterator[tuple[int, bytes]]:
    """Yield the snapshot of `dump` in pieces of about _PIECE, each with its offset.

    The state may change between two pieces. Such a change may be in the snapshot or not: the journal that was begun
    before has it in any case. With 20,000 files a snapshot has 12 MB, which are never in memory together. So the first
    line, which has the checksum of the rest, comes twice: at first to take its place, and at the end as it is. It
    always has the same length.
    """
    crc, offset = 0, len(_head(journal, 0))
    yield 0, _head(journal, 0)
    data = bytearray(b'{"files":[')
    for number, file in enumerate(list(state.files.values())):
        data += b"," if number else b""
        data += _encode(_describe_whole(file)).encode()
        if len(data) >= _PIECE:
            crc = zlib.crc32(data, crc)
            yield offset, bytes(data)
            offset += len(data)
            data.clear()
    sinks = {
        name: {"sending": sent_batches.as_saved(sink.sending), "receipt": sink.receipt}
        for name, sink in state.sinks.items()
    }
    data += f'],"sinks":{_encode(sinks)}}}'.encode()
    yield offset, bytes(data) + b"\n"
    yield 0, _head(journal, zlib.crc32(data, crc))


def _head(journal: int, crc: int) -> bytes:
    return f"{_encode({'version': VERSION, 'journal': journal, 'checksum': f'{crc:08x}'})}\n".encode()


def _describe_whole(file: FileState) -> dict[str, Any]:
    return {
        **_describe(file),
        "size": file.size,
        "prefix": _as_list(file.prefix),
        "seen": _as_list(file.seen),
        "positions": {sink: _as_list(position) for sink, position in file.positions.items()},
        **({"crc": [file.crc_length, file.crc]} if file.crc_length else {}),
    }


def load(data: bytes) -> State:
    """Return the state of a snapshot. Raises ValueError, with the rest of a sentence, if the snapshot is not valid.

    Each file becomes its `FileState` as soon as it is read: with 20,000 files their JSON values would take 40 MB.
    """
    begin = data.find(b"\n") + 1
    end = data.find(b"\n", begin) if begin else 0
    try:
        head = json.loads(data[: begin - 1] if begin else data)
        version, journal, checksum = head["version"], head["journal"], head["checksum"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("is not a state file of logshipper, or is torn") from None
    if version != VERSION:
        raise ValueError(f"has version {version}, and this logshipper reads version {VERSION}")
    body = memoryview(data)[begin:end]
    if end < begin or not begin or checksum != _checksum(body):
        raise ValueError("is torn: its checksum does not match")
    with _wrong_content():
        page = json.loads(str(body, "utf-8", "surrogatepass"), object_hook=_file_or_item)
        state = State(journal=saved_values.number(journal, HIGHEST_JOURNAL))
        for file in page["files"]:
            if not isinstance(file, FileState):
                raise TypeError("a file without some of its values")
            state.files[file.generation] = file
        for name, item in page["sinks"].items():
            state.sinks[name] = SinkState(sent_batches.parse(item["sending"]), item["receipt"])
    return state


def _file_or_item(item: dict[str, Any]) -> FileState | dict[str, Any]:
    """Return the file that a JSON object describes, or the object if it is none."""
    if not item.keys() >= _OF_A_FILE:
        return item
    file = _file_state(item)
    file.size, file.prefix = saved_values.offset(item["size"]), saved_values.fingerprint(item["prefix"])
    seen, positions = saved_values.fingerprint(item["seen"]), _positions(item["positions"])
    file.seen = file.prefix if seen == file.prefix else seen  # one object each, as while the file is followed
    file.set_positions({sink: file.seen if at == seen else at for sink, at in positions.items()})
    file.crc_length, file.crc = saved_values.checksum(item.get("crc", (0, 0)))
    return file


# -- the journal -------------------------------------------------------------------------------------------------------


def file_entry(file: FileState) -> JournalEntry:
    """Return the entry for a generation that is followed from now on, or was found under another path."""
    return ["file", _describe(file), _as_list(file.prefix), _as_list(file.seen)]


def send_entry(sink: str, batches: list[SentBatch]) -> JournalEntry:
    """Return the entry for the batches that are in flight to the sink from now on."""
    return ["send", sink, sent_batches.as_saved(batches)]


def done_entry(sink: str, positions: dict[str, Fingerprint], receipt: Any) -> JournalEntry:
    """Return the entry for positions, by generation, up to which the sink has decided on everything."""
    return ["done", sink, {generation: _as_list(position) for generation, position in positions.items()}, receipt]


def gone_entry(generation: str) -> JournalEntry:
    """Return the entry for a generation that is forgotten."""
    return ["gone", generation]


def journal_line(entry: JournalEntry) -> bytes:
    """Return the line of an entry: its checksum, a blank, and its JSON."""
    body = _encode(entry).encode()
    return b"%b %b\n" % (_checksum(body).encode(), body)


def journal_entries(lines: Iterable[bytes]) -> Iterator[JournalEntry]:
    """Yield the entries of a journal up to the first line that is torn. Raises ValueError as `load` does."""
    for line in lines:
        checksum, _, body = line.removesuffix(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum.decode("ascii", "replace") != _checksum(body):
            return
        with _wrong_content():
            entry = json.loads(body)
        yield entry


def apply(state: State, entry: JournalEntry) -> None:
    """Apply an entry to the state. An entry about an unknown or forgotten generation changes nothing.

    Raises ValueError, with the rest of a sentence, if the entry is not one that this module writes.
    """
    with _wrong_content():
        _apply(state, entry)


def _apply(state: State, entry: JournalEntry) -> None:
    match entry:
        case ["file", dict(item), list(prefix), list(seen)]:
            file = _file_state(item)
            file.prefix, file.seen = saved_values.fingerprint(prefix), saved_values.fingerprint(seen)
            known = state.files.setdefault(file.generation, file)
            known.path, known.key = file.path, file.key
            known.identity = file.identity
            known.prefix, known.seen = file.prefix, file.seen
            known.prefix, known.seen, known.times = file.prefix, file.seen, file.times
            known.encoding = file.encoding
            known.size = max(known.size, known.seen.offset)
        case ["send", str(sink), list(batches)]:
            state.sinks.setdefault(sink, SinkState()).sending = sent_batches.parse(batches)
        case ["done", str(sink), dict(positions), receipt]:
            for name, position in _positions(positions).items():
                if name in state.files:
                    _move_position(state.files[name], sink, position)
            state.sinks.setdefault(sink, SinkState()).receipt = receipt
        case ["gone", str(name)]:
            state.files.pop(name, None)
        case _:
            raise TypeError("an entry of no known kind")


def _move_position(file: FileState, sink: str, position: Fingerprint) -> None:
    file.set_position(sink, position)
    file.size = max(file.size, position.offset)


# -- parts of both formats ---------------------------------------------------------------------------------------------


def _describe(file: FileState) -> dict[str, Any]:
    return {
        "id": file.generation,
        "name": file.first_path,
        "path": file.path,
        "input": file.input,
        "device": file.device,
        "inode": file.inode,
        **({"identity": file.identity} if file.identity else {}),
        **({"times": file.times.as_list()} if file.times else {}),
        **({"encoding": file.encoding} if file.encoding else {}),
    }


def _file_state(item: dict[str, Any]) -> FileState:
    first_path, path = saved_values.text(item["name"]), saved_values.text(item["path"])
    return FileState(
        saved_values.generation(item["id"]),
        path if first_path == path else first_path,  # one object
        path,
        saved_values.text(item["input"]),
        saved_values.number(item["device"]),
        saved_values.number(item["inode"]),
        identity=saved_values.text(item.get("identity", "")),
        times=saved_values.file_times(item["times"]) if "times" in item else None,
        encoding=saved_values.encoding(item.get("encoding", "")),
    )


def _positions(items: dict[str, Any]) -> dict[str, Fingerprint]:
    return {name: saved_values.fingerprint(position) for name, position in items.items()}


def _as_list(fingerprint: Fingerprint) -> list[Any]:
    return [fingerprint.offset, fingerprint.length, fingerprint.digest]


# -- checks ------------------------------------------------------------------------------------------------------------


@contextmanager
def _wrong_content() -> Iterator[None]:
    """Raise ValueError for every way in which a content can be wrong. Whoever can write the file can seal it, too."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"has a right checksum and a wrong content ({type(error).__name__}: {error})") from None


def _checksum(body: bytes | memoryview) -> str:
    return f"{zlib.crc32(body):08x}"
