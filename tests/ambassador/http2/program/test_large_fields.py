"""Fields beyond MAX_HEADER_SIZE or MAX_HEADERS, in either direction: a status that does not ask to try again.

The C core of gRPC (Python, C++, Ruby) has RESOURCE_EXHAUSTED for metadata beyond its own limit. Envoy has UNAVAILABLE.
"""

from __future__ import annotations

from sidecars.ambassador.http2 import grpc
from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import OK, RESPONSE, Session, serving
from tests.ambassador.support import Ambassador
from tests.conftest import Start

LARGE = [(b"x-large", b"x" * 9000)]
MANY = [(b"x-%d" % number, b"") for number in range(150)]


def answer(session: Session) -> None:
    while stream := session.request():
        path = dict(session.heads[stream])[b":path"]
        if path == b"/large.Head/Get":
            session.send(raw.headers(stream, [*RESPONSE, *OK, *LARGE]))
        elif path == b"/many.Heads/Get":
            session.send(raw.headers(stream, [*RESPONSE, *OK, *MANY]))
        else:
            trailers = LARGE if path == b"/large.Trailers/Get" else []
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"order")))
            assert session.round_trip()  # so the head and the message have gone to the app
            session.send(raw.headers(stream, [*OK, *trailers]))


def test_fields_that_are_too_large_end_a_call_with_resource_exhausted_and_disturb_no_other_one(start: Start) -> None:
    with serving(answer) as server:
        ambassador = Ambassador(start, server.url, MAX_HEADER_SIZE="8KiB", MAX_HEADERS="100")
        with Connection.to(ambassador.port) as app:
            stream = -1

            def call(
                path: bytes, *more: tuple[bytes, bytes], trailers: list[tuple[bytes, bytes]] | None = None
            ) -> Message:
                nonlocal stream
                stream += 2
                app.send(raw.headers(stream, raw.call(path, *more), raw.END_HEADERS))
                end = raw.END_STREAM if trailers is None else 0
                app.send(raw.data(stream, raw.message(b"order"), end))
                if trailers is not None:
                    app.send(raw.headers(stream, trailers))
                message = app.message(stream)
                assert message is not None, app.goaways
                return message

            told = {
                "head": call(b"/large.Head/Get"),
                "heads": call(b"/many.Heads/Get"),
                "trailers": call(b"/large.Trailers/Get"),
                "head of the request": call(b"/shop.v1.Orders/Get", *LARGE),
                "trailers of the request": call(b"/shop.v1.Orders/Get", trailers=LARGE),
            }
            for name, message in told.items():
                assert message.grpc_status == grpc.RESOURCE_EXHAUSTED, name
                assert b"larger than MAX_HEADER_SIZE or MAX_HEADERS" in (message.field(b"grpc-message") or b""), name
            assert raw.messages(told["trailers"].body) == [b"order"]
            assert call(b"/shop.v1.Orders/Get").grpc_status == grpc.OK
        assert len(server.sessions) == 1
        counted = ambassador.metric("ambassador_errors_total", error="http_response_header_section_size")
        assert counted == 2  # the third response broke off
        assert ambassador.ask(b"GET /large.Head/Get HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 502
