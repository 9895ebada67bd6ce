"""The servers of gRPC's eight negative interop tests (grpc: doc/http2-interop-test-descriptions.md), as raw frames.

Each handles a connection: it answers UnaryCall in a way that servers rarely do, and that clients must bear.
"""

from __future__ import annotations

from typing import Final

from tests.ambassador.http2 import raw
from tests.ambassador.http2.protobuf import encode
from tests.ambassador.http2.raw_server import OK, RESPONSE, Handler, Session

SIZE: Final = 314_159
WHOLE: Final = raw.message(encode({1: encode({2: bytes(SIZE)})}))


def in_pieces(size: int) -> list[bytes]:
    return [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]


def goaway(session: Session) -> None:
    """Answer one call, with a GOAWAY that names it; further ones need another connection."""
    stream = session.request()
    if stream:
        session.send(raw.goaway(stream))
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        session.send_data(stream, in_pieces(16_384))
        session.send(raw.headers(stream, OK))
        assert session.request() == 0, "a call came behind GOAWAY"


def rst_after_header(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.rst_stream(stream, raw.NO_ERROR))


def rst_during_data(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        session.send_data(stream, [WHOLE[:1000]])
        session.send(raw.rst_stream(stream, raw.NO_ERROR))


def rst_after_data(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        session.send_data(stream, in_pieces(16_384))
        session.send(raw.rst_stream(stream, raw.NO_ERROR))


def ping(session: Session) -> None:
    """Send PINGs before and behind each frame; all must be answered before the connection ends."""
    sent = 0

    def one() -> bytes:
        nonlocal sent
        sent += 1
        return raw.ping(b"%8d" % sent)

    while stream := session.request():
        session.send(one(), raw.headers(stream, RESPONSE, raw.END_HEADERS), one())
        for piece in in_pieces(16_384):
            session.send_data(stream, [piece])
            session.send(one())
        session.send(raw.headers(stream, OK), one())
        while session.pongs < sent:
            assert session.frame() is not None, "the connection ended before all PINGs were answered"


def max_streams(session: Session) -> None:
    """Answer one call at a time. The server's SETTINGS allow one: no second one may come meanwhile."""
    answered = 0
    while stream := session.request():
        assert session.round_trip(), "the client has left"
        assert len(session.heads) - answered == 1, "more calls than allowed are open"
        answered += 1
        session.respond(stream, encode({1: encode({2: bytes(SIZE)})}))


def data_frame_padding(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        session.send_data(stream, in_pieces(5), padding=255)
        session.send(raw.headers(stream, OK))


def no_df_padding(session: Session) -> None:
    while stream := session.request():
        session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        session.send_data(stream, in_pieces(5))
        session.send(raw.headers(stream, OK))


FAILING: Final[dict[str, Handler]] = {
    "rst_after_header": rst_after_header,
    "rst_during_data": rst_during_data,
    "rst_after_data": rst_after_data,
}
SUCCEEDING: Final[dict[str, Handler]] = {
    "goaway": goaway,
    "ping": ping,
    "data_frame_padding": data_frame_padding,
    "no_df_padding": no_df_padding,
}
