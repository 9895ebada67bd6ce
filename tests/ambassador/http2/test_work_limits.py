"""Bounds on the work that a peer can cause, in both roles: floods, blocks of fields, interim responses, windows."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.frames import (
    CANCEL,
    CONTINUATION,
    DATA,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from sidecars.ambassador.http2.streams import Stream
from tests.ambassador.http2_support import (
    GET,
    OK,
    POST,
    Recorder,
    client,
    data,
    frame,
    headers,
    number,
    open_stream,
    server,
    settings,
)

if TYPE_CHECKING:
    from _collections_abc import dict_values

Role = Callable[[], tuple[Connection, Recorder]]

FLOODS = {
    "PING": frame(PING, 0, 0, bytes(8)),
    "PING with ACK": frame(PING, frames.ACK, 0, bytes(8)),
    "SETTINGS": settings((3, 5)),
    "SETTINGS with ACK": frame(SETTINGS, frames.ACK, 0),
    "PRIORITY": frame(PRIORITY, 0, 99, bytes(5)),
    "GOAWAY": frame(GOAWAY, 0, 0, struct.pack(">LL", 7, 0)),
    "an unknown type": frame(0xEE, 0, 0),
    "a window": number(WINDOW_UPDATE, 1, 1),
    "the window of the connection": number(WINDOW_UPDATE, 0, 1),
    "a reset of a stream that is over": number(RST_STREAM, 3, CANCEL),
    "empty DATA": data(1, b""),
    "DATA of padding": frame(DATA, PADDED, 1, b"\x08" + bytes(8)),
    "empty DATA of a stream that is over": data(3, b""),
    "heads of a stream that is over": headers(3, OK, end=False),
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("role", [server, client])
def test_a_flood_without_progress_ends_the_connection(role: Role, name: str) -> None:
    """The stream 1 is open, and 3 was reset by us."""
    connection, recorder = role()
    if connection.is_client:
        open_stream(connection)
        connection.reset(open_stream(connection), CANCEL)
    else:
        connection.receive(headers(1, POST, end=False) + headers(3, POST, end=False))
        connection.reset(recorder.streams[3], CANCEL)
    for _ in range(1001):
        connection.receive(FLOODS[name])
        connection.output()
    assert recorder.broken is not None
    assert recorder.broken[0] == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("role", [server, client])
def test_keepalives_of_a_quiet_stream_end_nothing_however_long_it_lives(role: Role) -> None:
    connection, recorder = role()
    for _ in range(3000):
        connection.receive(FLOODS["PING"] * 10)
        connection.output()
        connection.work.note_tick()
    assert recorder.broken is None


def test_messages_that_each_have_an_empty_frame_are_no_flood() -> None:
    """Some servers write one before the trailers of a response without a body."""
    connection, recorder = client()
    for stream_id in range(1, 2 * 300, 2):
        open_stream(connection)
        connection.receive(headers(stream_id, OK, end=False) + data(stream_id, b"") + headers(stream_id, [(b"a", b"")]))
        assert recorder.messages[stream_id].ended
    assert recorder.broken is None


def test_before_a_response_come_no_more_than_64_interim_ones() -> None:
    connection, recorder = client()
    open_stream(connection)
    open_stream(connection)
    hint = [(b":status", b"103"), (b"link", b"</a>")]
    for stream_id in (1, 3):
        connection.receive(headers(stream_id, hint, end=False) * 64)
        assert recorder.messages[stream_id].interims == [103] * 64
    connection.receive(headers(1, hint, end=False) + headers(3, OK))
    assert "64 interim responses" in recorder.messages[1].malformed
    assert recorder.messages[3].ended


class Looked(dict[int, Stream]):
    """A table of streams that counts how often all of them are looked at."""

    looks = 0

    def values(self) -> dict_values[int, Stream]:
        self.looks += 1
        return super().values()


def test_the_windows_of_all_streams_change_once_for_a_read_whatever_it_holds() -> None:
    """A change costs work for each stream: thousands of SETTINGS in a read must not cost it thousands of times."""
    connection, recorder = server()
    connection.receive(b"".join(headers(2 * at + 1, GET) for at in range(100)))
    table = Looked(connection.streams)
    connection.streams = table
    connection.receive(b"".join(settings((4, 65_535 + at)) for at in range(500)))
    assert table.looks == 1
    assert {each.window for each in recorder.streams.values()} == {65_535 + 499}


def test_a_window_is_judged_by_the_settings_before_it() -> None:
    connection, recorder = server()
    connection.receive(headers(1, GET))
    connection.receive(settings((4, 0)) + number(WINDOW_UPDATE, 1, 2**31 - 1))
    assert recorder.broken is None
    assert recorder.streams[1].window == 2**31 - 1
    connection, recorder = server()
    connection.receive(headers(1, GET))
    connection.receive(settings((4, 2**31 - 1)) + number(WINDOW_UPDATE, 1, 1))
    assert recorder.broken is not None
    assert recorder.broken[0] == FLOW_CONTROL_ERROR


@pytest.mark.parametrize("role", [server, client])
def test_who_sends_more_than_the_windows_allow_is_told_so(role: Role) -> None:
    connection, recorder = role()
    if connection.is_client:
        open_stream(connection)
        connection.receive(headers(1, OK, end=False))
    else:
        connection.receive(headers(1, POST, end=False))
    connection.pause(recorder.streams[1])
    for _ in range(16):
        connection.receive(data(1, bytes(16_384)))
    assert not connection.is_broken
    connection.receive(data(1, b"x"))
    assert recorder.broken is not None
    assert recorder.broken[0] == FLOW_CONTROL_ERROR


def test_the_same_frames_with_progress_end_nothing() -> None:
    connection, recorder = server()
    for at in range(3000):
        connection.receive(
            headers(2 * at + 1, POST, end=False)
            + number(WINDOW_UPDATE, 2 * at + 1, 5)
            + frame(PING, 0, 0, bytes(8))
            + data(2 * at + 1, b"")
            + data(2 * at + 1, b"message")
        )
        connection.receive(number(RST_STREAM, 2 * at + 1, CANCEL))
        connection.release(recorder.streams[2 * at + 1])
        connection.output()
    assert recorder.broken is None
    assert len(recorder.messages) == 3000
    assert connection.streams == {}


@pytest.mark.parametrize(
    "flood",
    [
        [frame(HEADERS, 0, 1, b"\x00\x01a")] + [frame(CONTINUATION, 0, 1, b"\x01b")] * 16,
        [frame(HEADERS, 0, 1), frame(CONTINUATION, 0, 1)],
        [frame(HEADERS, 0, 1, bytes(16_384))] + [frame(CONTINUATION, 0, 1, bytes(16_384))] * 4,
    ],
)
def test_a_block_of_fields_has_bounds_before_it_is_decoded(flood: list[bytes]) -> None:
    connection, recorder = server()
    for each in flood[:-1]:
        connection.receive(each)
        assert recorder.broken is None
        assert connection.is_in_block
    connection.receive(flood[-1])
    assert recorder.broken is not None
    assert recorder.broken[0] == ENHANCE_YOUR_CALM
