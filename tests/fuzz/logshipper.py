"""Targets of logshipper: lines of the app, its own state, and what receivers answer."""

from __future__ import annotations

import contextlib
from io import BytesIO

import msgpack
import orjson

from sidecars.chassis.http.response_parser import ClientResponse
from sidecars.logshipper.model import line_cutting, timestamps
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.sinks import elasticsearch
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.protocols import loki_refusal, peer_text
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, ProtocolFailed
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.transform.cri import CriFraming
from sidecars.logshipper.transform.framing import Framing, LineFraming, MultilineFraming
from sidecars.logshipper.transform.linear_regex import compile_re2
from sidecars.logshipper.transform.multiline import CONTINUATIONS, create_splitter
from sidecars.logshipper.transform.parsers import parse_json, parse_logfmt
from sidecars.logshipper.transform.redaction import Redactor, parse_redact
from tests.fuzz.registry import target

_LIMIT = 64  # bytes of a line or event, so that short inputs reach it
_KINDS = ("none", *sorted(CONTINUATIONS), "regex:\\d")


def _check_framing(framing: Framing, data: bytes, start: int) -> None:
    """Every byte of the file belongs to exactly one event, whether the chunk comes whole or in two parts."""
    events = framing.events(data, start)
    assert sum(events.sizes) - len(data) in ((0, 1) if not data.endswith(b"\n") else (0,))
    assert all(size >= 0 for size in events.sizes)
    if framing.boundary and data.endswith(b"\n"):
        cut = framing.boundary(data)
        assert 0 <= cut <= len(data)


@target("logshipper.transform.cri", reach=85)
def cri_lines(data: bytes) -> None:
    """The entries of a container runtime keep every byte, in any splitting of events."""
    kind = _KINDS[data[0] % len(_KINDS)] if data else "none"
    _check_framing(CriFraming(create_splitter(kind, _LIMIT), _LIMIT), data[1:] or b"\n", 7)


@target("logshipper.transform.multiline", "logshipper.transform.framing", reach=70)
def multiline_events(data: bytes) -> None:
    """The lines of events keep every byte, and no event is longer than its limit."""
    kind = _KINDS[data[0] % len(_KINDS)] if data else "none"
    splitter = create_splitter(kind, _LIMIT)
    framing: Framing = MultilineFraming(splitter) if splitter else LineFraming()
    _check_framing(framing, (data[1:] or b"\n").replace(b"\0", b"0"), 0)


@target("logshipper.model.line_cutting", reach=60)
def line_cuts(data: bytes) -> None:
    """A block is cut within its bounds, always at the same place, and always moves on in a file that is over."""
    for ending in Ending:
        cut = line_cutting.cut(data, _LIMIT, ending)
        assert cut == line_cutting.cut(data, _LIMIT, ending)
        assert 0 <= cut.hole <= len(data)
        assert cut.end == 0 or cut.hole < cut.end <= len(data)
        if ending is Ending.OVER and data and not cut.end:
            assert not data.strip(b"\0")


@target("logshipper.transform.parsers", reach=40)
def json_and_logfmt_lines(data: bytes) -> None:
    """A line becomes fields that can be written as JSON again, and never none."""
    texts = data.decode("utf-8", "replace").split("\n")
    for parse in (parse_json, parse_logfmt):
        for fields in parse(texts):
            assert fields
            orjson.dumps(fields)


@target("logshipper.model.timestamps", longest=200)
def times(data: bytes) -> None:
    """A time is one that every sink can carry, and RFC 3339 reads what it wrote."""
    form, _, text = data.decode("utf-8", "replace").partition("\n")
    with contextlib.suppress(ValueError):
        parse = timestamps.column_parser(form)
        for time in parse([text, text]):
            assert time is None or 0 <= time < 2**63
            if time is not None:
                assert timestamps.column_parser("rfc3339")([timestamps.rfc3339(time)]) == [time]


_REDACTORS = [Redactor("secrets,personal"), Redactor(r"email,/user-\d+/,/pin=(\d+)/")]


@target("logshipper.transform.redaction", "logshipper.transform.redaction_presets", reach=60)
def redacted_lines(data: bytes) -> None:
    """A redacted text is clean: redacting it again changes nothing. JSON stays JSON. A text before which nothing
    began is its own rest.
    """
    texts = data.decode("utf-8", "replace").split("\n")
    for redactor in _REDACTORS:
        clean = redactor.redact_texts(texts)
        assert redactor.redact_texts(clean) == clean
        for text in texts:
            half = len(text) // 2
            redactor.redact_rest(text[:half], text[half:])
            assert redactor.redact_rest("", text) == text
        for text, changed in zip(texts, redactor.redact_json(texts), strict=True):
            with contextlib.suppress(orjson.JSONDecodeError):
                orjson.loads(text)
                orjson.loads(changed)


@target("logshipper.transform.redaction", "logshipper.transform.linear_regex", reach=10, longest=200)
def redact_setting(data: bytes) -> None:
    """A setting is refused with ValueError, or works."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        parse_redact(text)
        Redactor(text).redact_texts([text])
    with contextlib.suppress(ValueError):
        compile_re2(text).search(b"x" * 100)


@target("logshipper.state.checkpoint", reach=75)
def state_snapshot_and_journal(data: bytes) -> None:
    """A snapshot is refused with ValueError, or is written again the same; a journal changes it only as it says.

    The checksum protects against torn files, not against a neighbour, so the input gets the right one.
    """
    head, _, rest = data.partition(b"\n")
    body, _, journal = rest.partition(b"\n")
    sealed = b'{"version":%d,"journal":%d,"checksum":"%b"}\n%b\n' % (
        checkpoint.VERSION,
        len(head),
        checkpoint._checksum(body).encode(),
        body,
    )
    state = checkpoint.State()
    for snapshot in (data, sealed):
        with contextlib.suppress(ValueError):
            state = checkpoint.load(snapshot)
    lines = b"".join(b"%b %b\n" % (checkpoint._checksum(line).encode(), line) for line in journal.split(b"\n"))
    with contextlib.suppress(ValueError):
        for entry in checkpoint.journal_entries(BytesIO(lines)):
            checkpoint.apply(state, entry)
    for sink in state.sinks.values():
        assert not any(one.partial and one.open for batch in sink.sending for one in batch)
    written = checkpoint.dump(state, 1)
    read = checkpoint.load(written)
    assert checkpoint.dump(read, 1) == written
    for name, file in state.files.items():
        assert file.is_recognisable == read.files[name].is_recognisable


@target("logshipper.sinks.protocols.forward_handshake", reach=85, longest=512)
def forward_messages(data: bytes) -> None:
    """No receiver passes the handshake without the key."""
    messages = msgpack.Unpacker(raw=True, max_buffer_size=1 << 16)
    handshake = Handshake("pod", "shared key", "user", "password", "salt")
    with contextlib.suppress(ProtocolFailed, ValueError, TypeError, OverflowError, msgpack.UnpackException):
        messages.feed(data)
        helo = handshake.helo(messages.unpack())
        handshake.ping(helo)
        handshake.check(messages.unpack(), helo)
        raise AssertionError("a PONG was accepted")


@target("logshipper.sinks.elasticsearch", "logshipper.sinks.protocols.peer_text", reach=40)
def receiver_answers(data: bytes) -> None:
    """A receiver's text is one short printable line, and its verdict is about as many documents as were sent."""
    text = peer_text.error_message(data)
    assert len(text) <= peer_text.MAX_LENGTH
    assert text.isprintable()
    with contextlib.suppress(RetryLater, BatchRefused):
        outcome = elasticsearch._outcome(ClientResponse(200, {}, data, early=False), 2)
        assert all(0 <= index < 2 for index, _ in outcome.rejected)
        assert all(0 <= index < 2 for index in outcome.retry)


@target("logshipper.sinks.protocols.loki_refusal", reach=75, longest=600)
def loki_refusals(data: bytes) -> None:
    """Loki's text names entries that were sent, or nothing is certain."""
    text = data.decode("utf-8", "replace")
    found = loki_refusal.refused_entries(text, ["a", "bb" * 40], [10**18, 1_700_000_000 * 10**9])
    assert found is None or set(found) <= {0, 1}
    count = loki_refusal.ignored_count(text)
    assert count is None or count >= 0
