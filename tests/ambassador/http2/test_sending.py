"""Bodies that are sent: windows, turns, ends, and what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.frames import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from sidecars.ambassador.http2.streams import Stream
from tests.ambassador.http2_support import (
    GET,
    OK,
    POST,
    Frame,
    Recorder,
    block,
    client,
    data,
    headers,
    number,
    open_stream,
    server,
    written,
)
from tests.ambassador.http2_support import (
    settings as settings_frame,
)
from tests.support import examples

_TRAILERS = encode_field(b"grpc-status", b"0")


def _sent(found: list[Frame], stream_id: int) -> bytes:
    return b"".join(each.payload for each in found if each.kind == DATA and each.stream_id == stream_id)


def _requests(count: int) -> tuple[Connection, Recorder]:
    """Return a connection with so many requests, to each of which a head was sent."""
    connection, recorder = server()
    for at in range(count):
        connection.receive(headers(2 * at + 1, GET))
        connection.send_head(recorder.streams[2 * at + 1], block(OK), end=False)
    connection.output()
    return connection, recorder


def test_a_small_message_is_one_head_one_frame_and_trailers() -> None:
    connection, recorder = _requests(1)
    stream = recorder.streams[1]
    assert connection.send_body(stream, [b"ab", b"cd"])
    connection.send_end(stream, _TRAILERS)
    found = written(connection)
    assert [(each.kind, each.payload) for each in found] == [(DATA, b"abcd"), (HEADERS, _TRAILERS)]
    assert found[1].flags == END_STREAM | END_HEADERS
    assert connection.streams == {}


def test_a_body_waits_for_its_window_and_the_trailers_behind_it() -> None:
    connection, recorder = _requests(1)
    stream = recorder.streams[1]
    assert not connection.send_body(stream, [b"x" * 100_000])
    connection.send_end(stream, _TRAILERS)
    found = written(connection)
    assert [each.kind for each in found] == [DATA] * 4
    assert len(_sent(found, 1)) == 65_535
    assert connection.queued == 100_000 - 65_535
    assert connection.output() == []
    connection.receive(number(WINDOW_UPDATE, 1, 50_000))
    assert written(connection) == []  # the connection's window is used up, too
    connection.receive(number(WINDOW_UPDATE, 0, 50_000))
    found = written(connection)
    assert len(_sent(found, 1)) == 100_000 - 65_535
    assert found[-1].kind == HEADERS
    assert connection.queued == 0


def test_the_sender_is_asked_to_wait_and_to_go_on_once() -> None:
    connection, recorder = _requests(1)
    stream = recorder.streams[1]
    assert not connection.send_body(stream, [b"x" * 200_000])
    connection.output()
    assert recorder.messages[1].writable == 0
    connection.receive(number(WINDOW_UPDATE, 1, 2**20) + number(WINDOW_UPDATE, 0, 2**20))
    connection.output()
    assert recorder.messages[1].writable == 1
    assert connection.send_body(stream, [b"y"], end=True)
    assert written(connection)[-1].flags == END_STREAM


def test_a_handler_may_send_on_any_stream_within_the_output_and_nothing_is_left_behind() -> None:
    connection, recorder = _requests(3)
    connection.receive(number(WINDOW_UPDATE, 0, 2**20))
    for stream_id in (1, 3, 5):
        connection.receive(number(WINDOW_UPDATE, stream_id, 2**20))

    def go_on(stream: Stream) -> None:
        if stream.id != 5 and stream.id not in told:
            told.add(stream.id)
            connection.send_body(recorder.streams[5], [b"x" * 30_000])
            connection.send_body(stream, [b"x" * 70_000], end=True)

    told: set[int] = set()
    recorder.on_writable = go_on  # type: ignore[method-assign] # a handler that answers at once
    for stream_id in (1, 3):
        connection.send_body(recorder.streams[stream_id], [b"x" * 70_000])
    sent = 0
    while found := written(connection):
        sent += sum(len(each.payload) for each in found if each.kind == DATA)
    assert sent == 2 * 2 * 70_000 + 2 * 30_000


def test_streams_take_turns_of_one_frame() -> None:
    connection, recorder = _requests(3)
    connection.receive(number(WINDOW_UPDATE, 0, 2**20))
    for stream_id in (1, 3, 5):
        connection.send_body(recorder.streams[stream_id], [b"x" * 40_000], end=True)
    found = written(connection)
    assert [each.stream_id for each in found] == [1, 3, 5, 1, 3, 5, 1, 3, 5]
    assert [len(each.payload) for each in found] == [16_384] * 6 + [7232] * 3
    assert [bool(each.flags & END_STREAM) for each in found] == [False] * 6 + [True] * 3


def test_a_stream_without_a_window_keeps_no_other_one_waiting() -> None:
    connection, recorder = _requests(2)
    connection.receive(number(WINDOW_UPDATE, 0, 2**20))
    connection.send_body(recorder.streams[1], [b"x" * 70_000])
    connection.send_body(recorder.streams[3], [b"y" * 10], end=True)
    found = written(connection)
    assert len(_sent(found, 1)) == 65_535
    assert _sent(found, 3) == b"y" * 10
    connection.send_body(recorder.streams[1], [b"z"])
    assert written(connection) == []


def test_a_window_that_the_settings_lower_may_be_negative_and_is_waited_for() -> None:
    connection, recorder = _requests(1)
    stream = recorder.streams[1]
    connection.send_body(stream, [b"x" * 65_535])
    connection.output()
    connection.receive(settings_frame((4, 10)))
    assert stream.window == 10 - 65_535
    connection.send_body(stream, [b"y" * 20])
    connection.receive(number(WINDOW_UPDATE, 0, 100) + number(WINDOW_UPDATE, 1, 65_525))
    assert _sent(written(connection), 1) == b""
    connection.receive(number(WINDOW_UPDATE, 1, 3))
    assert _sent(written(connection), 1) == b"yyy"
    connection.receive(settings_frame((4, 100)))
    found = written(connection)
    assert [each.kind for each in found] == [SETTINGS, DATA]
    assert connection.queued == 0


def test_a_window_of_nothing_lets_heads_and_empty_ends_pass() -> None:
    connection, recorder = server()
    connection.receive(settings_frame((4, 0)) + headers(1, GET) + headers(3, GET))
    connection.send_head(recorder.streams[1], block(OK), end=True)
    connection.send_head(recorder.streams[3], block(OK), end=False)
    connection.send_body(recorder.streams[3], [], end=True)
    found = written(connection)
    assert [(each.kind, each.stream_id) for each in found[1:]] == [(HEADERS, 1), (HEADERS, 3), (DATA, 3)]


def test_a_reset_drops_what_waits() -> None:
    connection, recorder = _requests(2)
    connection.send_body(recorder.streams[1], [b"x" * 100_000])
    connection.send_body(recorder.streams[3], [b"x" * 100_000])
    connection.output()
    connection.reset(recorder.streams[1], CANCEL)
    connection.receive(number(RST_STREAM, 3, CANCEL))
    assert connection.queued == 0
    assert [each.kind for each in written(connection)] == [RST_STREAM]
    connection.receive(number(WINDOW_UPDATE, 0, 2**20))
    assert connection.output() == []
    assert recorder.messages[3].reset == CANCEL
    connection.send_head(recorder.streams[1], block(OK), end=True)
    assert connection.output() == []


def test_a_large_head_is_cut_into_continuations() -> None:
    connection, recorder = server()
    connection.receive(headers(1, GET))
    large = block(OK) + encode_field(b"a", b"x" * 40_000)
    connection.send_head(recorder.streams[1], large, end=True)
    found = written(connection)
    assert [each.kind for each in found] == [HEADERS, CONTINUATION, CONTINUATION]
    assert [each.flags for each in found] == [END_STREAM, 0, END_HEADERS]
    assert b"".join(each.payload for each in found) == b"\x20" + large


def test_the_first_block_alone_sets_the_size_of_the_table_to_nothing() -> None:
    connection, _ = client()
    open_stream(connection)
    open_stream(connection)
    first, second = written(connection)
    assert first.payload == b"\x20" + second.payload


def test_the_handler_is_told_once_that_there_is_output() -> None:
    connection, recorder = client()
    before = recorder.outputs
    for _ in range(5):
        open_stream(connection)
    assert recorder.outputs == before + 1
    connection.output()
    open_stream(connection)
    assert recorder.outputs == before + 2


# -- credit ----------------------------------------------------------------------------------------------------------


def test_credit_comes_in_steps_of_half_a_window_and_none_for_a_stream_that_has_ended() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False))
    for _ in range(7):
        connection.receive(data(1, bytes(16_384)))
    assert written(connection) == []
    connection.receive(data(1, bytes(16_384)))
    (update,) = written(connection)
    assert (update.kind, int.from_bytes(update.payload, "big")) == (WINDOW_UPDATE, 128 * 1024)
    connection.receive(b"".join(data(1, bytes(16_384)) for _ in range(8)) + data(1, b"", end=True))
    assert written(connection) == []
    assert recorder.messages[1].ended


def test_a_paused_stream_holds_one_window_and_gets_its_credit_when_it_goes_on() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False) + headers(3, POST, end=False))
    connection.pause(recorder.streams[1])
    connection.receive(b"".join(data(1, bytes(16_384)) for _ in range(16)))
    connection.receive(data(3, b"passes", end=True))
    assert connection.held == 256 * 1024
    assert written(connection) == []
    assert recorder.messages[1].body == b""
    assert recorder.messages[3].ended
    connection.resume(recorder.streams[1])
    assert connection.held == 0
    assert len(recorder.messages[1].body) == 256 * 1024
    (update,) = written(connection)
    assert int.from_bytes(update.payload, "big") == 256 * 1024


def test_padding_is_paid_back() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False))
    for _ in range(700):
        connection.receive(b"\x00\x01\x05\x00\x08\x00\x00\x00\x01\xff" + b"12345" + bytes(255))
    assert recorder.broken is None
    credit = sum(int.from_bytes(each.payload, "big") for each in written(connection))
    assert credit >= 700 * 261 - 128 * 1024
    assert len(recorder.messages[1].body) == 3500


def test_the_connection_window_is_topped_up_before_half_of_it_is_used() -> None:
    connection, _ = server()
    connection.receive(headers(1, POST, end=False))
    connection._receive_window = 2**30
    connection.receive(data(1, b"abc"))
    (update,) = written(connection)
    assert (update.kind, update.stream_id) == (WINDOW_UPDATE, 0)
    assert int.from_bytes(update.payload, "big") == 2**30 + 2
    assert connection._receive_window == 2**31 - 1


# -- memory ----------------------------------------------------------------------------------------------------------

_ACTION = st.sampled_from(["open", "body", "end", "reset", "window", "pause", "resume", "peer", "output"])


@examples(40)
@given(st.lists(st.tuples(_ACTION, st.integers(0, 7), st.integers(0, 70_000)), max_size=40))
def test_whatever_happens_everything_is_back_at_rest_once_all_streams_have_ended(  # noqa: C901, PLR0912 - a list of actions
    steps: list[tuple[str, int, int]],
) -> None:
    connection, recorder = server()
    for action, which, size in steps:
        stream_id = 2 * which + 1
        stream = recorder.streams.get(stream_id)
        if action == "open" and stream_id > connection.highest_id:
            connection.receive(headers(stream_id, POST, end=size % 2 == 0))
            connection.send_head(recorder.streams[stream_id], block(OK), end=False)
        elif action == "output":
            connection.output()
        elif action == "window" and size:
            connection.receive(number(WINDOW_UPDATE, 0, size))
        elif stream is None:
            continue
        elif action == "body":
            connection.send_body(stream, [bytes(size)])
        elif action == "end":
            connection.send_end(stream, _TRAILERS if size % 2 else b"")
        elif action == "reset":
            connection.reset(stream, CANCEL)
        elif action == "pause":
            connection.pause(stream)
        elif action == "resume":
            connection.resume(stream)
        elif action == "peer" and not stream.is_received:
            connection.receive(data(stream_id, bytes(size % 4096)))
        waiting = sum(each.queued for each in recorder.streams.values())
        assert connection.queued == waiting
        assert connection.held == sum(each.held for each in recorder.streams.values())
        assert recorder.broken is None
    for stream in list(connection.streams.values()):
        connection.receive(number(RST_STREAM, stream.id, CANCEL))
    for stream in recorder.streams.values():
        connection.resume(stream)
        connection.release(stream)
    connection.output()
    assert (connection.queued, connection.held, connection.busy, connection.kept) == (0, 0, 0, 0)
    assert connection.streams == {}
    assert connection.output() == []
