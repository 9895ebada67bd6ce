"""Every parser of the logshipper: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import msgpack
import pytest

from sidecars.chassis.http import peer_text
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config import header_pairs, self_ingestion
from sidecars.logshipper.input import rotated_file_gaps
from sidecars.logshipper.model import line_cutting
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.encodings import forward_entries, loki_push, ndjson, otlp_logs
from sidecars.logshipper.sinks.encodings.messages import syslog_frames
from sidecars.logshipper.sinks.over_http import elasticsearch, otlp
from sidecars.logshipper.sinks.protocols import loki_refusal
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.transform.patterns import ll1
from tests.growth import Case, require_linear
from tests.logshipper.pipelines import make_pipeline, processed
from tests.logshipper.support import a_chunk

pytestmark = pytest.mark.slow

LARGEST_CHUNK = 80_000  # units of a chunk whose records are made before the measurement

# -- from bytes to records ---------------------------------------------------------------------------------------------

FORMS: dict[str, dict[str, str]] = {
    "raw": {},
    "json": {"FORMAT": "json", "TIME_KEY": "time", "LEVEL_KEY": "level"},
    "logfmt": {"FORMAT": "logfmt", "TIME_KEY": "time"},
    "cri": {"FORMAT": "cri"},
    "regex": {"FORMAT": "regex", "REGEX": r"(?P<level>[A-Z]+) +(?P<logger>\S+) +(?P<message>.*)"},
    "backtracking regex": {"FORMAT": "regex", "REGEX": r"(?P<a>x*)*(?P<message>y.*)"},
    "java": {"MULTILINE": "java"},
    "python": {"MULTILINE": "python"},
    "go": {"MULTILINE": "go"},
    "auto": {"MULTILINE": "auto"},
    "docker": {"FORMAT": "docker"},
    "cri and json": {"FORMAT": "cri,json"},
    "indent": {"MULTILINE": "indent"},
    "first line": {"MULTILINE": r"regex:\d{4}-\d\d"},
    "secrets": {"REDACT": "secrets"},
    "personal": {"REDACT": "personal"},
    "json secrets": {"FORMAT": "json", "REDACT": "secrets,personal"},
    "logfmt secrets": {"FORMAT": "logfmt", "REDACT": "secrets"},
    "own redaction": {"REDACT": r"/(a|aa)+b/"},
    "filters": {"KEEP": "(a|aa)+", "DROP": "(a|aa)+b"},
}
LINES: dict[str, Any] = {
    "lines": lambda n: b"2024-01-01 INFO shop: hello\n" * n,
    "empty lines": lambda n: b"\n" * n,
    "indented lines": lambda n: b"x\n" + b"\ty\n" * n,
    "one line of letters": lambda n: b"a" * n + b"\n",
    "classes of Java": lambda n: b"x\n" + b"a." * n + b"A\n",
    "calls of Go": lambda n: b"x\n" + b"a(" * n + b")" * n + b"\n",
    "tracebacks": lambda n: b"Traceback (most recent call last):\n x\n" * n,
    "a long traceback": lambda n: b"Traceback (most recent call last):\n" + b" x\n" * n,
    "tracebacks that go on": lambda n: b"Traceback (most recent call last):\n x\nE: y\nz\n" * n,
    "messages": lambda n: b"a.SomeError: x\n" + b"y\n" * 19 + b"z\n\tat x\n" * n,
    "exceptions": lambda n: b"a.SomeError: x\n" * n + b"\tat x\n" * n,
    "Errors in a name": lambda n: b"x\n" + b"Error" * n + b": y\n",
    "weak names": lambda n: b"a.Bcd: x\n" * n,
    "panics": lambda n: b"thread 'main' panicked at a.rs:1:2:\n" * n + b"a.Bcd: x\n\tat x\n" * n,
    "frames of Ruby": lambda n: b"E, [x] ERROR -- : y\n" + b"a.rb:1:in `x'\n" * n,
    "Docker lines": lambda n: b'{"log":"x\\n","stream":"stdout","time":""}\n' * n,
    "parts of Docker": lambda n: b'{"log":"x","stream":"stdout","time":""}\n' * n,
    "CRI of JSON": lambda n: b'2024-01-01T00:00:00.0Z stdout F {"a":1}\n' * n,
    "quotation marks": lambda n: b'"' * n + b"\n",
    "an open quotation mark": lambda n: b'a="' + b"x" * n + b"\n",
    "escapes": lambda n: b'a="' + b"\\\\" * n + b'"\n',
    "open escapes": lambda n: b'a="' + b"\\" * n + b"\n",
    "keys": lambda n: b" ".join(b"k%d=v" % number for number in range(n)) + b"\n",
    "one key": lambda n: b"k=v " * n + b"\n",
    "equals signs": lambda n: b"=" * n + b"\n",
    "blanks": lambda n: b" " * n + b"x\n",
    "brackets": lambda n: b'{"a":' * n + b"\n",
    "nested objects": lambda n: b'{"a":' * 20 + b"1" + b"}" * 20 + b"\n" + b'{"a":{"a":[[[[1]]]]}}\n' * n,
    "members": lambda n: b"{" + b",".join(b'"k%d":1' % number for number in range(n)) + b"}\n",
    "one member": lambda n: b"{" + b",".join([b'"k":1'] * n) + b"}\n",
    "unicode escapes": lambda n: b'{"password":"' + b"\\u0022" * n + b'"}\n',
    "passwords": lambda n: b'password="' * n + b"\n",
    "bearers": lambda n: b"bearer " * n + b"\n",
    "addresses": lambda n: b"a@" * n + b"b.com\n",
    "dots": lambda n: b"1." * n + b"\n",
    "colons": lambda n: b"a:" * n + b"\n",
    "cards": lambda n: b"4111 1111 " * n + b"\n",
    "keys of PEM": lambda n: b"-----BEGIN PRIVATE KEY-----\n" * n,
    "URLs": lambda n: b"http://a:" * n + b"\n",
    "jwts": lambda n: b"eyJ" + b"A" * n + b".\n",
    "CRI lines": lambda n: b"2024-01-01T00:00:00.0Z stdout F x\n" * n,
    "parts of CRI": lambda n: b"2024-01-01T00:00:00.0Z stdout P x\n" * n,
    "parts of two streams": lambda n: b"2024-01-01T00:00:00.0Z stdout P x\n2024-01-01T00:00:00.0Z stderr P x\n" * n,
    "times": lambda n: b"".join(b'{"time":"2024-01-01T00:00:00.%09dZ"}\n' % number for number in range(n)),
    "bytes that are no text": lambda n: b"\xff" * n + b"\n",
    "long digits": lambda n: b'{"time":' + b"1" * n + b"}\n",
}


GENERIC = ["lines", "one line of letters"]
OF_TEXT = ["quotation marks", "an open quotation mark", "escapes", "keys", "one key", "equals signs", "blanks"]
OF_JSON = ["brackets", "nested objects", "members", "one member", "unicode escapes", "long digits"]
OF_EVENTS = ["indented lines", "tracebacks", "a long traceback", "tracebacks that go on"]
OF_SECRETS = ["passwords", "bearers", "addresses", "dots", "colons", "cards", "keys of PEM", "URLs", "jwts"]
HOSTILE = {
    "raw": ["empty lines", "bytes that are no text"],
    "json": [*OF_JSON, "times", "escapes"],
    "logfmt": [*OF_TEXT, "open escapes"],
    "cri": ["CRI lines", "parts of CRI", "parts of two streams"],
    "regex": ["blanks"],
    "backtracking regex": ["blanks"],
    "java": [*OF_EVENTS, "classes of Java"],
    "python": OF_EVENTS,
    "go": [*OF_EVENTS, "calls of Go"],
    "auto": [*OF_EVENTS, "messages", "exceptions", "Errors in a name", "weak names", "panics", "frames of Ruby"],
    "docker": ["Docker lines", "parts of Docker"],
    "cri and json": ["CRI of JSON", "parts of CRI"],
    "indent": OF_EVENTS,
    "first line": ["indented lines"],
    "secrets": [*OF_SECRETS, "quotation marks", "escapes"],
    "personal": OF_SECRETS,
    "json secrets": [*OF_JSON, "passwords"],
    "logfmt secrets": ["keys", "passwords"],
    "own redaction": ["blanks"],
    "filters": ["blanks"],
}


def pairs(forms: Iterable[str]) -> list[tuple[str, str]]:
    found = [(form, lines) for form in forms for lines in (*GENERIC, *HOSTILE.get(form, ()))]
    return [pair for pair in found if pair != ("docker", "one line of letters")]  # refused at its first byte: no work


@pytest.mark.parametrize(("form", "lines"), pairs(FORMS))
def test_lines_become_records_in_linear_time(form: str, lines: str) -> None:
    pipeline = make_pipeline(**FORMS[form], MAX_LINE_SIZE="16MiB")

    def process(chunk: Chunk) -> None:
        pipeline.process(chunk)

    require_linear(Case(f"{form}: {lines}", lambda n: a_chunk(LINES[lines](n)), process))


@pytest.mark.parametrize(("form", "lines"), pairs(["raw", "java", "python", "go", "auto", "cri", "docker"]))
def test_a_block_is_cut_in_linear_time(form: str, lines: str) -> None:
    boundary = make_pipeline(**FORMS[form]).boundary

    def cut(block: bytes) -> None:
        for limit in (1024, len(block)):
            found = line_cutting.cut(block, limit, Ending.OPEN)
            if boundary is not None and not found.blank:
                line_cutting.cut_at_events(block, found, limit, boundary, over=False)

    require_linear(Case(f"{form}: {lines}", LINES[lines], cut))


# -- from records to bytes ---------------------------------------------------------------------------------------------

ENCODINGS: dict[str, Any] = {
    "ndjson": ndjson.encode,
    "loki json": lambda batch: loki_push.encode_json(batch, 0),
    "loki protobuf": lambda batch: loki_push.encode_protobuf(batch, 0),
    "otlp": lambda batch: otlp_logs.encode(batch, {}, 0),
    "forward": lambda batch: forward_entries.encode_entries(batch, 0),
    "relp": lambda batch: syslog_frames.encode_messages(batch, 0, 8192),
    "syslog": lambda batch: syslog_frames.encode_frames(batch, 0),
}
ENCODED = ["lines", "empty lines", "one line of letters", "escapes", "members", "keys", "nested objects"]


@pytest.mark.parametrize("lines", ENCODED)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_records_are_encoded_in_linear_time(encoding: str, lines: str) -> None:
    form = "logfmt" if lines == "keys" else "json"

    def make(n: int) -> Batch:
        return Batch("default", (processed(a_chunk(LINES[lines](n)), **FORMS[form], MAX_LINE_SIZE="16MiB"),))

    require_linear(Case(f"{encoding}: {lines}", make, ENCODINGS[encoding], LARGEST_CHUNK))


# -- what receivers say ------------------------------------------------------------------------------------------------

TEXTS: dict[str, Any] = {
    "quotes": lambda n: b"'" * n,
    "braces": lambda n: b"{" * n,
    "JSON": lambda n: b'{"error":' * n,
    "tags": lambda n: b"<" * n,
    "a title": lambda n: b"<title>" * n,
    "blanks": lambda n: b" " * n,
    "ignored": lambda n: b"entry with timestamp 2024-01-01 00:00:00 +0000 UTC ignored, reason: 'x',\n" * n,
    "totals": lambda n: b"total ignored: 1 out of 2 for stream: " * n,
    "errors like": lambda n: b"1 errors like: " * n,
    "digits": lambda n: b"total ignored: " + b"1" * n,
    "varints": lambda n: b"\xff" * n,
    "fields": lambda n: b"\x0a\x00" * n,
}


def read(body: bytes) -> None:
    peer_text.error_message(body)
    otlp.status_message(body)
    text = body.decode("latin-1")
    loki_refusal.refused_entries(text, ["x"], [0])
    loki_refusal.ignored_count(text)
    with contextlib.suppress(msgpack.UnpackException, ValueError):
        unpacker = msgpack.Unpacker(raw=True, max_buffer_size=max(len(body), 1))
        unpacker.feed(body)
        unpacker.unpack()


@pytest.mark.parametrize("name", TEXTS)
def test_an_error_message_is_read_in_linear_time(name: str) -> None:
    require_linear(Case(name, TEXTS[name], read))


BULK: dict[str, Any] = {
    "results": lambda n: [{"create": {"status": 201}} for _ in range(n)],
    "refusals": lambda n: [{"create": {"status": 400, "error": {"type": "x", "reason": "'" * 9}}} for _ in range(n)],
    "retries": lambda n: [{"create": {"status": 429}} for _ in range(n)],
    "one long reason": lambda n: [{"create": {"status": 400, "error": "'" * n}}, {"create": {"status": 201}}],
    "strange items": lambda n: [{} for _ in range(n)],
}


@pytest.mark.parametrize("name", BULK)
def test_the_response_to_a_bulk_request_is_read_in_linear_time(name: str) -> None:
    def make(n: int) -> tuple[ClientResponse, int]:
        items = BULK[name](n)
        return ClientResponse(200, {}, json.dumps({"errors": True, "items": items}).encode(), early=False), len(items)

    def judge(response: tuple[ClientResponse, int]) -> None:
        with contextlib.suppress(BatchRefused, RetryLater):
            elasticsearch._outcome(*response)

    require_linear(Case(name, make, judge, LARGEST_CHUNK))


# -- state and settings ------------------------------------------------------------------------------------------------


def a_snapshot(n: int) -> bytes:
    state = checkpoint.State()
    for number in range(n):
        generation = f"{number:032x}"
        state.files[generation] = FileState(generation, "/logs/a", "/logs/a", "default", 1, number)
    return bytes(checkpoint.dump(state, 1))


def a_journal(n: int) -> bytes:
    state = FileState("g", "/logs/a", "/logs/a", "default", 1, 1)
    return b"".join(checkpoint.journal_line(checkpoint.file_entry(state)) for _ in range(n))


def replay(data: bytes) -> None:
    state = checkpoint.State()
    for entry in checkpoint.journal_entries(data.splitlines(keepends=True)):
        checkpoint.apply(state, entry)


def load(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        checkpoint.load(data)


STATE: dict[str, tuple[Any, Any]] = {
    "a snapshot": (a_snapshot, load),
    "brackets": (lambda n: b"[" * n, load),
    "lines": (lambda n: b"\n" * n, load),
    "a journal": (a_journal, replay),
    "torn lines": (lambda n: b"00000000 []\n" * n, replay),
}


@pytest.mark.parametrize("name", STATE)
def test_the_state_is_read_in_linear_time(name: str) -> None:
    make, work = STATE[name]
    require_linear(Case(name, make, work, LARGEST_CHUNK))


def parse_headers(text: str) -> None:
    with contextlib.suppress(ValueError):
        header_pairs.parse(text)


def gaps(names: dict[str, int]) -> None:
    rotated_file_gaps.missing(names, names)


SETTINGS: dict[str, tuple[Any, Any]] = {
    "headers": (lambda n: ",".join(f"h{number}=v" for number in range(n)), parse_headers),
    "one header": (lambda n: "h=v," * n, parse_headers),
    "percent signs": (lambda n: "h=" + "%" * n, parse_headers),
    "a regex of alternatives": (lambda n: "|".join(["a"] * n), ll1.is_ll1),
    "names with numbers": (lambda n: {f"a.log.{number}": number for number in range(n)}, gaps),
    "numbers of many digits": (lambda n: {"a.log." + "1" * n: 1}, gaps),
    "a deep path": (lambda n: "/a" * n, lambda path: self_ingestion.is_tailed(path, ("/a/**/b",), ())),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_read_in_linear_time(name: str) -> None:
    make, work = SETTINGS[name]
    require_linear(Case(name, make, work, LARGEST_CHUNK))


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("logfmt", "an open quotation mark"),
        ("logfmt", "escapes"),
        ("json", "unicode escapes"),
        ("java", "classes of Java"),
        ("python", "a long traceback"),
        ("go", "calls of Go"),
        ("secrets", "passwords"),
    ],
)
def test_a_line_takes_a_few_times_its_size_in_memory(form: str, lines: str) -> None:
    """`re` keeps a hundred bytes for each turn of a repeated group, unless the repeat is possessive."""
    chunk, pipeline = a_chunk(LINES[lines](50_000)), make_pipeline(**FORMS[form], MAX_LINE_SIZE="16MiB")
    pipeline.process(a_chunk(LINES[lines](10)))
    tracemalloc.start()
    try:
        pipeline.process(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(chunk.data)
