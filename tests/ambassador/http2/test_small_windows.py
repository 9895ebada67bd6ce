"""While memory is short: the windows of streams, and what waits in them."""

from __future__ import annotations

from sidecars.ambassador.http2.frames import ACK, SETTINGS, WINDOW_UPDATE
from sidecars.ambassador.http2.peer_settings import INITIAL_WINDOW_SIZE
from tests.ambassador.http2_support import GET, POST, Frame, data, frame, headers, number, server, written
from tests.ambassador.http2_support import settings as settings_frame

ACKNOWLEDGED = 2 * frame(SETTINGS, ACK, 0)  # the first SETTINGS, and those of the shortage


def credit_of(frames: list[Frame], stream: int) -> int:
    updates = [each for each in frames if each.kind == WINDOW_UPDATE and each.stream_id == stream]
    return sum(int.from_bytes(each.payload, "big") for each in updates)


def test_while_memory_is_short_a_stream_gets_less_and_never_nothing() -> None:
    connection, recorder = server()
    connection.keep_small(small=True)
    connection.receive(ACKNOWLEDGED + headers(1, POST, end=False))
    for _ in range(16):
        connection.receive(data(1, bytes(4096)))
    assert credit_of(written(connection), 1) == 16 * 4096
    connection.keep_small(small=False)
    assert b"".join(connection.output()) == settings_frame((INITIAL_WINDOW_SIZE, 256 * 1024))  # and no credit twice
    for _ in range(16):
        connection.receive(data(1, bytes(16_384)))
    assert recorder.broken is None


def test_an_app_that_acknowledges_nothing_is_told_little_more() -> None:
    connection, _ = server()
    for _ in range(100):
        connection.keep_small(small=True)
        connection.keep_small(small=False)
    assert [each.kind for each in written(connection)] == [SETTINGS] * 3  # and the first ones
    connection.keep_small(small=True)
    connection.receive(frame(SETTINGS, ACK, 0) * 4)
    assert connection.output() == []  # it knows of the small window
    connection.keep_small(small=False)
    assert [each.kind for each in written(connection)] == [SETTINGS]


def test_an_app_that_does_not_know_yet_that_memory_is_short_may_use_the_window_it_was_given() -> None:
    connection, recorder = server()
    connection.keep_small(small=True)
    connection.receive(headers(1, POST, end=False))
    for _ in range(16):
        connection.receive(data(1, bytes(16_384)))
    written(connection)
    connection.receive(ACKNOWLEDGED)
    assert credit_of(written(connection), 1) == 252 * 1024  # without it the stream could never be sent on
    connection.receive(data(1, bytes(4096)))
    assert recorder.broken is None
    connection.receive(headers(3, POST, end=False))
    connection.pause(recorder.streams[3])
    connection.receive(data(3, bytes(4096)) + data(3, b"", end=True))
    assert recorder.broken is None


def test_while_memory_is_short_a_stream_that_nobody_takes_holds_what_it_had_sent_before() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False))
    connection.pause(recorder.streams[1])
    connection.receive(data(1, bytes(10_000)))
    connection.keep_small(small=True)
    written(connection)
    connection.receive(ACKNOWLEDGED)
    assert credit_of(written(connection), 1) == 0
    connection.receive(data(1, b""))
    assert recorder.broken is None
    connection.receive(data(1, b"x"))
    assert recorder.broken is not None


def test_while_memory_is_short_one_small_read_is_all_that_waits_in_a_stream() -> None:
    connection, recorder = server()
    connection.receive(headers(1, GET) + headers(3, GET))
    connection.send_body(recorder.streams[1], [bytes(65_535)])  # all that the peer takes
    written(connection)
    assert connection.send_body(recorder.streams[1], [bytes(4000)])
    connection.keep_small(small=True)
    assert not connection.send_body(recorder.streams[3], [bytes(4000)])
    connection.receive(number(WINDOW_UPDATE, 0, 4000))
    written(connection)
    assert recorder.messages[3].writable == 1
