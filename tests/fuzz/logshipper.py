"""Targets of logshipper: lines of the app, its own state, and what receivers answer."""

from __future__ import annotations

import contextlib

import msgpack
import orjson

from sidecars.chassis.http import peer_text
from sidecars.chassis.http.response_parser import ClientResponse
from sidecars.logshipper.live import tail_query
from sidecars.logshipper.model import line_cutting, severity, utf16_cutting
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.model.times import time_zones, timestamps, written_times
from sidecars.logshipper.model.times.event_times import FileTimes, Reading
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.over_http import elasticsearch
from sidecars.logshipper.sinks.over_http import splunk_replies as splunk_replies_module
from sidecars.logshipper.sinks.over_http.splunk_connection import keep_cookies
from sidecars.logshipper.sinks.over_tcp.nats_session import NatsSession
from sidecars.logshipper.sinks.over_tcp.nats_session import SessionFailed as NatsFailed
from sidecars.logshipper.sinks.over_tcp.relp_session import RelpSession, SessionFailed
from sidecars.logshipper.sinks.protocols import loki_refusal
from sidecars.logshipper.sinks.protocols.forward_handshake import Handshake, ProtocolFailed
from sidecars.logshipper.transform.framing.cri import CriFraming
from sidecars.logshipper.transform.framing.decoding import DecodedFraming
from sidecars.logshipper.transform.framing.docker import DockerFraming
from sidecars.logshipper.transform.framing.line_framing import Framing, LineFraming, MultilineFraming
from sidecars.logshipper.transform.framing.multiline import FirstLineSplitter, create_splitter
from sidecars.logshipper.transform.framing.multiline_kinds import NAMES
from sidecars.logshipper.transform.lifting import known_levels
from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.parsers import parse_json, parse_logfmt
from sidecars.logshipper.transform.patterns.linear_regex import compile_re2
from sidecars.logshipper.transform.redaction.redactor import Redactor, parse_redact
from tests.fuzz.registry import target

_LIMIT = 64  # bytes of a line or event, so that short inputs reach it
_KINDS = ("none", *sorted(NAMES), "regex:\\d")


def _check_framing(framing: Framing, data: bytes, start: int) -> None:
    """Every byte of the file belongs to exactly one event, whether the chunk comes whole or in two parts."""
    events = framing.events(data, start)
    assert sum(events.sizes) - len(data) in ((0, 1) if not data.endswith(b"\n") else (0,))
    assert all(size >= 0 for size in events.sizes)
    if framing.boundary and data.endswith(b"\n"):
        cut = framing.boundary(data)
        assert 0 <= cut <= len(data)


@target("logshipper.transform.framing.docker", reach=85)
def docker_lines(data: bytes) -> None:
    """The entries of Docker keep every byte, and no block is cut before a line whose rest is in a later entry."""
    kind = _KINDS[data[0] % len(_KINDS)] if data else "none"
    framing = DockerFraming(create_splitter(kind, _LIMIT), _LIMIT)
    _check_framing(framing, data[1:] or b"\n", 7)
    for body in framing.events(data[1:] or b"\n", 0).bodies:
        body.encode()


@target("logshipper.transform.framing.cri", "logshipper.transform.framing.container_entries", reach=85)
def cri_lines(data: bytes) -> None:
    """The entries of a container runtime keep every byte, in any splitting of events."""
    kind = _KINDS[data[0] % len(_KINDS)] if data else "none"
    _check_framing(CriFraming(create_splitter(kind, _LIMIT), _LIMIT), data[1:] or b"\n", 7)


_FRAMING = "logshipper.transform.framing"
_OF_LINES = ("multiline", "trace_splitter", "dated_lines", "line_spans", "event_limit", "line_framing")


@target(*(f"{_FRAMING}.{name}" for name in _OF_LINES), reach=85)
def multiline_events(data: bytes) -> None:
    """The lines of events keep every byte, and no event is longer than its limit."""
    kind = _KINDS[data[0] % len(_KINDS)] if data else "none"
    splitter = create_splitter(kind, _LIMIT)
    framing: Framing = MultilineFraming(splitter) if splitter else LineFraming()
    _check_framing(framing, (data[1:] or b"\n").replace(b"\0", b"0"), 0)
    block, _, rest = data[1:].rpartition(b"\n\n")
    if kind in NAMES and block:
        _check_boundary(
            MultilineFraming(create_splitter(kind, 1 << 20) or FirstLineSplitter("x", 1)), block + b"\n", rest
        )


def _check_boundary(framing: Framing, block: bytes, rest: bytes) -> None:
    """Where a block may be cut an event begins, whatever comes after the block."""
    assert framing.boundary is not None
    events = framing.events(block + rest, 0)
    assert framing.boundary(block) in events.offsets


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


@target("logshipper.transform.parsing.parsers", reach=40)
def json_and_logfmt_lines(data: bytes) -> None:
    """A line becomes fields that can be written as JSON again, and never none."""
    texts = data.decode("utf-8", "replace").split("\n")
    for parse in (parse_json, parse_logfmt):
        for fields in parse(texts):
            assert fields
            orjson.dumps(fields)


_ZONES = [None, *map(time_zones.find, ("+05:30", "Europe/Berlin", "Australia/Lord_Howe"))]
_NOW = 1792890000 * 10**9  # 2026-10-25T01:00:00Z: the hour that comes twice in Berlin


@target(
    "logshipper.model.times.timestamps",
    "logshipper.model.times.time_patterns",
    "logshipper.model.times.epoch_times",
    "logshipper.model.times.event_times",
    reach=70,
    longest=200,
)
def times(data: bytes) -> None:
    """A time is one that every sink can carry, RFC 3339 reads what it wrote, and the same bytes have the same times."""
    form, _, text = data.decode("utf-8", "replace").partition("\n")
    texts: list[object] = list(text.split("\n"))
    with contextlib.suppress(orjson.JSONDecodeError):
        texts.append(orjson.loads(text))
    with contextlib.suppress(ValueError):
        for zone in _ZONES:
            parse, file = timestamps.column_parser(form, zone), FileTimes(10, _NOW - 10**9)
            found = [parse(texts, Reading(_NOW, range(len(texts)), file, lambda: None, True)) for _ in range(2)]
            assert found[0] == found[1]
            saved = FileTimes(file.size, file.modified, file.passes)
            assert found[0] == parse(texts, Reading(_NOW, range(len(texts)), saved, lambda: None, True))
            for time in (*found[0], *parse(texts)):
                assert time is None or 0 <= time < 2**63
                if time is not None:
                    assert timestamps.column_parser("rfc3339")([written_times.rfc3339(time)]) == [time]


@target("logshipper.transform.parsing.field_paths", reach=50, longest=300)
def field_names(data: bytes) -> None:
    """A name of a field is refused with ValueError, or is found, and is gone once it was removed."""
    name, _, text = data.decode("utf-8", "replace").partition("\n")
    with contextlib.suppress(ValueError):
        paths = field_paths.parse_list(name)
        fields = parse_json([text])
        for path in paths:
            (value,) = field_paths.column(fields, path) or [None]
            assert value == path.get(fields[0])
            removed = path.remove(fields[0])
            assert removed is field_paths.MISSING or removed == value


@target("logshipper.model.utf16_cutting", reach=80, longest=300)
def utf16_cuts(data: bytes) -> None:
    """A block of UTF-16 is cut within its bounds, at whole code units, and always moves on in a file that is over."""
    for encoding in utf16_cutting.ENCODINGS:
        ends = list(utf16_cutting.line_ends(data, encoding))
        assert all(end % 2 == 0 for end in ends)
        assert utf16_cutting.after_last_line(data, encoding) == (ends[-1] if ends else 0)
        certain = utf16_cutting.before_nul(data, encoding)
        assert data.startswith(certain)
        assert len(certain) % 2 == 0
        assert utf16_cutting.is_settled(certain, len(certain), encoding)
        assert utf16_cutting.of_file(data) in (*utf16_cutting.ENCODINGS, "utf-8")
        known = utf16_cutting.encoding_of("auto", lambda at, length: data[at : at + length], before=encoding)
        assert known in (*utf16_cutting.ENCODINGS, "utf-8")
        cut = utf16_cutting.cut(data, _LIMIT, Ending.OVER, encoding)
        assert cut.hole % 2 == 0
        assert cut.end == 0 or (cut.hole < cut.end <= len(data) and (cut.end % 2 == 0 or cut.end == len(data)))
        assert cut.end or cut.blank or not data.strip(b"\0")
        framing = DecodedFraming(LineFraming(), encoding)
        assert sum(framing.events(data, 0).sizes) == len(data)
        if cut.end:
            after = utf16_cutting.cut_at_events(
                data, cut, _LIMIT, lambda block: len(block) // 4 * 2, encoding, over=False
            )
            assert after.end <= cut.end


@target("logshipper.transform.lifting.known_levels", reach=70, longest=300)
def levels_of_events(data: bytes) -> None:
    """What is found without being asked for is a known level."""
    text = data.decode("utf-8", "replace")
    for level in (known_levels.in_line(text), *known_levels.of_events(parse_json([text]))):
        assert level is None or severity.of(level) is not severity.UNKNOWN


_REDACTORS = [Redactor("secrets,personal"), Redactor(r"email,/user-\d+/,/pin=(\d+)/")]


@target("logshipper.transform.redaction.redactor", "logshipper.transform.redaction.redaction_presets", reach=60)
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


@target("logshipper.transform.redaction.redactor", "logshipper.transform.patterns.linear_regex", reach=10, longest=200)
def redact_setting(data: bytes) -> None:
    """A setting is refused with ValueError, or works."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        parse_redact(text)
        Redactor(text).redact_texts([text])
    with contextlib.suppress(ValueError):
        compile_re2(text).search(b"x" * 100)


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


@target("logshipper.sinks.over_http.elasticsearch", "chassis.http.peer_text", reach=40)
def receiver_answers(data: bytes) -> None:
    """A receiver's text is one short printable line, and its verdict is about as many documents as were sent."""
    text = peer_text.error_message(data)
    assert len(text) <= peer_text.MAX_LENGTH
    assert text.isprintable()
    with contextlib.suppress(RetryLater, BatchRefused):
        outcome = elasticsearch._outcome(ClientResponse(200, {}, data, early=False), 2)
        assert all(0 <= index < 2 for index, _ in outcome.rejected)
        assert all(0 <= index < 2 for index in outcome.retry)


@target("logshipper.sinks.over_http.splunk_replies", "logshipper.sinks.over_http.splunk_connection", reach=35)
def splunk_replies(data: bytes) -> None:
    """A reply is about an event that was sent, or a number; no number is acknowledged that was not asked for."""
    status, _, body = data.partition(b"\n")
    number = int(status) if status.isdigit() and len(status) == 3 else 200
    response = ClientResponse(number, {}, body, early=False)
    with contextlib.suppress(RetryLater, BatchRefused):
        reply = splunk_replies_module.read_reply(response, 2, "SINK_ACK")
        if isinstance(reply, splunk_replies_module.InvalidEvent):
            assert reply.number in (0, 1)
            assert reply.reason.isprintable()
    with contextlib.suppress(RetryLater):
        assert splunk_replies_module.read_acknowledgements(response, [0, 7], "SINK_ACK") <= {0, 7}
    cookies = keep_cookies({}, body.decode("latin-1").split("\n"))
    assert all(
        f"{name}={value}".isascii() and "\n" not in value and ";" not in value for name, value in cookies.items()
    )


@target("logshipper.sinks.over_tcp.relp_session", reach=85)
def relp_responses(data: bytes) -> None:
    """Each message is accepted once at most, and only one that was sent, in whatever pieces the bytes come."""
    found = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        session, accepted = RelpSession(), []
        with contextlib.suppress(SessionFailed):
            session.opening()
            session.send([b"1 x", b"1 y"])
            for piece in pieces:
                accepted += session.receive(piece)
        assert len(accepted) == len(set(accepted))
        assert set(accepted) <= {2, 3}
        session.closing()
        found.append(accepted)
    assert found[0] in (found[1], found[1][: len(found[0])])


@target("logshipper.sinks.over_tcp.nats_session", reach=80)
def nats_messages(data: bytes) -> None:
    """Each publication is decided on once at most, and only one that was sent, in whatever pieces the bytes come."""
    found = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        session, acks = NatsSession("logs", "_INBOX.f00d"), []
        session.opening({}, tls=False)
        session.publish([(b"a-1", b"{}"), (b"a-2", b"{}")])
        with contextlib.suppress(NatsFailed):
            for piece in pieces:
                acks += session.receive(piece)
        numbers = [ack.number for ack in acks]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) <= {0, 1}
        assert session.awaited <= 2
        assert all(ack.reason.isprintable() for ack in acks)
        session.pongs()
        found.append(acks)
    assert found[0] in (found[1], found[1][: len(found[0])])


@target("logshipper.live.tail_query", reach=95)
def tail_queries(data: bytes) -> None:
    """A query is refused in one sentence, or gives what it asks for."""
    text = "".join(chr(byte) for byte in data if 0x20 < byte < 0x7F)  # h11 accepts no other target
    try:
        query = tail_query.parse(text, ("app", "access"))
    except ValueError as error:
        assert str(error).count("\n") == 0
        return
    assert query.input in (None, "app", "access")
    if query.match is not None:
        query.match.search(data[:64])


@target("logshipper.sinks.protocols.loki_refusal", reach=75, longest=600)
def loki_refusals(data: bytes) -> None:
    """Loki's text names entries that were sent, or nothing is certain."""
    text = data.decode("utf-8", "replace")
    found = loki_refusal.refused_entries(text, ["a", "bb" * 40], [10**18, 1_700_000_000 * 10**9])
    assert found is None or set(found) <= {0, 1}
    count = loki_refusal.ignored_count(text)
    assert count is None or count >= 0
