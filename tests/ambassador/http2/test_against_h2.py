"""The core beside the library `h2`: sessions in both roles, whatever they hold and wherever their bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http2.connection import Connection
from tests.ambassador.http2_support import GET, OK, POST, Pairs, Recorder, block, client, open_stream, server
from tests.support import examples


def library(*, is_client: bool) -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client, header_encoding=None))
    made.initiate_connection()
    return made


@dataclass
class Sent:
    """One message: fields beyond the first ones, pieces of a body, and trailers."""

    more: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    trailers: list[tuple[bytes, bytes]]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


_NAMES = st.sampled_from([b"x-time", b"x-id", b"user-agent", b"accept", b"grpc-status"])
_VALUES = st.sampled_from([b"1m", b"", b"0", b"x" * 300]) | st.from_regex(rb"[!-~]{1,20}", fullmatch=True)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=4)
_PIECES = st.lists(st.integers(0, 40_000).map(bytes), max_size=4)
_MESSAGE = st.builds(Sent, _FIELDS, _PIECES, _FIELDS)


def _drive(ours: Connection, theirs: h2.connection.H2Connection, step: int = 1 << 30) -> list[h2.events.Event]:
    """Exchange bytes until nobody has any; ours get them in steps of this size. Return the library's events."""
    events: list[h2.events.Event] = []
    while True:
        data = theirs.data_to_send()
        for at in range(0, len(data), step):
            ours.receive(data[at : at + step])
        output = b"".join(ours.output())
        if not data and not output:
            return events
        if output:
            for event in theirs.receive_data(output):
                events.append(event)
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    theirs.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


def _send(theirs: h2.connection.H2Connection, stream_id: int, head: Pairs, message: Sent, ours: Connection) -> None:
    """Let the library send a message as its windows allow it."""
    theirs.send_headers(stream_id, [*head, *message.more])
    for piece in message.pieces:
        at = 0
        while at < len(piece):
            room = min(theirs.local_flow_control_window(stream_id), theirs.max_outbound_frame_size, len(piece) - at)
            if room:
                theirs.send_data(stream_id, piece[at : at + room])
                at += room
            else:
                _drive(ours, theirs)
    if message.trailers:
        theirs.send_headers(stream_id, message.trailers, end_stream=True)
    else:
        theirs.end_stream(stream_id)


def _check(recorder: Recorder, stream_id: int, message: Sent) -> None:
    found = recorder.messages[stream_id]
    assert found.ended
    assert found.head is not None
    assert [(each.name, each.value) for each in found.head.fields] == message.more
    assert found.body == message.body
    assert found.trailers == message.trailers


@examples(12)
@given(st.lists(st.tuples(_MESSAGE, _MESSAGE), min_size=1, max_size=4), st.sampled_from([1, 7, 1000, 1 << 30]))
def test_a_client_of_the_library_gets_what_is_sent_and_sends_what_is_got(
    calls: list[tuple[Sent, Sent]], step: int
) -> None:
    ours, recorder = server(greeted=False)
    theirs = library(is_client=True)
    answers: dict[int, Sent] = {}
    for request, answer in calls:
        if step == 1 and len(request.body) > 3000:
            request.pieces = [b"".join(request.pieces)[:3000]]
        stream_id = theirs.get_next_available_stream_id()
        _send(theirs, stream_id, POST, request, ours)
        answers[stream_id] = answer
    events = _drive(ours, theirs, step)
    for (request, _), stream_id in zip(calls, answers, strict=True):
        _check(recorder, stream_id, request)
    for stream_id, answer in answers.items():
        stream = recorder.streams[stream_id]
        ours.send_head(stream, block([*OK, *answer.more]), end=False)
        ours.send_body(stream, answer.pieces)
        ours.send_end(stream, block(answer.trailers))
    events += _drive(ours, theirs)
    _check_library(events, answers, OK)
    for stream in recorder.streams.values():
        ours.release(stream)
    assert (ours.streams, ours.busy, ours.queued, ours.held, ours.kept) == ({}, 0, 0, 0, 0)


@examples(12)
@given(st.lists(st.tuples(_MESSAGE, _MESSAGE), min_size=1, max_size=4), st.sampled_from([1, 7, 1000, 1 << 30]))
def test_a_server_of_the_library_gets_what_is_sent_and_sends_what_is_got(
    calls: list[tuple[Sent, Sent]], step: int
) -> None:
    ours, recorder = client(greeted=False)
    theirs = library(is_client=False)
    _drive(ours, theirs)
    requests: dict[int, Sent] = {}
    for request, _ in calls:
        stream = open_stream(ours, [*POST, *request.more], end=False)
        ours.send_body(stream, request.pieces)
        ours.send_end(stream, block(request.trailers))
        requests[stream.id] = request
    events = _drive(ours, theirs)
    _check_library(events, requests, POST)
    for (_, answer), stream_id in zip(calls, requests, strict=True):
        if step == 1 and len(answer.body) > 3000:
            answer.pieces = [b"".join(answer.pieces)[:3000]]
        _send(theirs, stream_id, OK, answer, ours)
    _drive(ours, theirs, step)
    for (_, answer), stream_id in zip(calls, requests, strict=True):
        _check(recorder, stream_id, answer)
    assert (ours.streams, ours.busy, ours.queued, ours.held, ours.kept) == ({}, 0, 0, 0, 0)


def _check_library(events: list[h2.events.Event], messages: dict[int, Sent], head: Pairs) -> None:
    bodies = dict.fromkeys(messages, b"")
    ended = set()
    for event in events:
        if isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
        elif isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
            assert [tuple(each) for each in event.headers] == [*head, *messages[event.stream_id].more]
        elif isinstance(event, h2.events.TrailersReceived):
            assert [tuple(each) for each in event.headers] == messages[event.stream_id].trailers
        elif isinstance(event, h2.events.StreamEnded):
            ended.add(event.stream_id)
    assert bodies == {stream_id: message.body for stream_id, message in messages.items()}
    assert ended == set(messages)


def test_a_session_means_the_same_wherever_its_bytes_are_cut() -> None:
    theirs = library(is_client=True)
    message = Sent([(b"x-id", b"1")], [b"hello", b"world"], [(b"grpc-status", b"0")])
    ours, _ = server(greeted=False)
    for stream_id in (1, 3):
        _send(theirs, stream_id, POST, message, ours)
    theirs.ping(b"12345678")
    theirs.send_headers(5, list(GET), end_stream=True)
    session = theirs.data_to_send()
    for cut in range(1, len(session)):
        ours, recorder = server(greeted=False)
        ours.receive(session[:cut])
        ours.receive(session[cut:])
        assert recorder.broken is None
        for stream_id in (1, 3):
            _check(recorder, stream_id, message)
        assert recorder.messages[5].ended
        assert ours.kept == 0


@examples(50)
@given(st.data())
def test_a_session_with_a_changed_byte_breaks_nothing_but_itself(choose: st.DataObject) -> None:
    theirs = library(is_client=True)
    ours, recorder = server(greeted=False)
    _send(theirs, 1, POST, Sent([(b"x-id", b"1")], [b"hello"], [(b"grpc-status", b"0")]), ours)
    session = bytearray(theirs.data_to_send())
    for _ in range(choose.draw(st.integers(1, 3))):
        session[choose.draw(st.integers(0, len(session) - 1))] = choose.draw(st.integers(0, 255))
    ours.receive(bytes(session))
    assert ours.kept <= 16_384 + 9 + 64 * 1024
    for message in recorder.messages.values():
        assert not (message.ended and message.malformed)
    if recorder.broken is None:
        b"".join(ours.output())
    else:
        assert ours.output()  # at least GOAWAY
        assert ours.output() == []
