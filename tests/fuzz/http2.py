"""Targets of HTTP/2: sessions of frames in both roles, and blocks of HPACK."""

from __future__ import annotations

import hpack

from sidecars.ambassador.http2.decoder import Decoder
from sidecars.ambassador.http2.encoder import NO_TABLE
from sidecars.ambassador.http2.fields import MALFORMED
from sidecars.ambassador.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError
from tests.ambassador.http2_support import POST, Recorder, client, open_stream, server
from tests.fuzz.registry import target

_MOST_KEPT = 16_384 + 9 + 64 * 1024  # bytes of a frame and of a block


@target(
    "ambassador.http2.frames",
    "ambassador.http2.connection",
    "ambassador.http2.receiving",
    "ambassador.http2.heads",
    "ambassador.http2.fields",
    "ambassador.http2.work_limits",
    reach=75,
)
def http2_sessions(data: bytes) -> None:
    """Any frames, in either role by the first byte, mean the same wherever they are cut, and leave nothing behind."""
    is_client, frames = data[:1] > b"\x7f", data[1:]
    whole = _session([frames], is_client=is_client)
    half = len(frames) // 2
    halves = _session([frames[:half], frames[half:]], is_client=is_client)
    if whole.broken is None:
        for stream_id, message in halves.messages.items():
            if message.reset is None and message.ended:
                assert whole.messages[stream_id].body == message.body
    assert (whole.broken is None) == (halves.broken is None)


def _session(reads: list[bytes], *, is_client: bool) -> Recorder:
    connection, recorder = client() if is_client else server()
    if is_client:
        for _ in range(3):
            open_stream(connection, POST, end=False)
    for each in reads:
        connection.receive(each)
        assert connection.kept <= _MOST_KEPT
    for message in recorder.messages.values():
        assert not (message.ended and message.malformed)
        if message.head is not None:
            assert all(field.kind != MALFORMED for field in message.head.fields)
    connection.output()
    for stream in [*recorder.streams.values(), *connection.streams.values()]:
        connection.reset(stream, 8)
        connection.release(stream)
        connection.resume(stream)
    if recorder.broken is None:
        assert (connection.streams, connection.queued, connection.held) == ({}, 0, 0)
    return recorder


# The tables are made at the first use, maybe by another test of the same process: their lines may not be reached.
@target("ambassador.http2.decoder", "ambassador.http2.huffman", "ambassador.http2.encoder", reach=65)
def http2_blocks(data: bytes) -> None:
    """Blocks are refused, or read as by the library `hpack`; what is read goes on in our encoding, unchanged."""
    ours, oracle = Decoder(10_000, 100), hpack.Decoder(max_header_list_size=1 << 30)
    half = len(data) // 2
    for block in (data[:half], data[half:], data[half:]):
        try:
            decoded = ours.decode(block)
        except ProtocolError as error:
            assert error.code in (COMPRESSION_ERROR, ENHANCE_YOUR_CALM)
            return
        seen = [(bytes(name), bytes(value)) for name, value in oracle.decode(block, raw=True)]
        if decoded.is_too_large:
            return
        assert seen == [(each.name, each.value) for each in decoded.fields]
        again = NO_TABLE + b"".join([each.encoded() for each in decoded.fields])
        written = hpack.Decoder(max_header_list_size=1 << 30).decode(again, raw=True)
        assert [(bytes(name), bytes(value)) for name, value in written] == seen
