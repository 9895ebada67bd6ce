"""Trailers of requests that are signed (AUTH=aws): they reach the service, or the request is refused."""

from __future__ import annotations

import pytest

from tests.ambassador.aws_verifier import ACCESS, SECRET, Seen, Verifier
from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.support import Ambassador, Peer, backends
from tests.conftest import Start

KEYS = {"AUTH": "aws", "AUTH_USERNAME": ACCESS, "AUTH_PASSWORD": SECRET, "AUTH_AWS_REGION": "eu-central-1"}
REQUEST = (
    b"POST /prod HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 7\r\n\r\n"
)


class Service(Verifier):
    """A service that takes a body in chunks, and keeps the trailers behind it."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.trailers: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        while head := peer.head().decode():
            line, *fields = head[:-4].split("\r\n")
            by_name = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            assert by_name["transfer-encoding"] == "chunked"
            body = b""
            while size := int(peer.until(b"\r\n"), 16):
                body += peer.exactly(size)
                assert peer.exactly(2) == b"\r\n"
            while (trailer := peer.until(b"\r\n")) != b"\r\n":
                self.trailers.append(trailer[:-2])
            status, date, answer = self.answer(Seen(line, by_name, body))
            peer.send(f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)


@pytest.mark.parametrize("payload", ["auto", "unsigned"])
def test_a_held_body_with_trailers_reaches_a_service_of_http1_in_chunks(start: Start, payload: str) -> None:
    service = Service("execute-api")
    with backends(service) as (backend,):
        environ = {**KEYS, "AUTH_AWS_SERVICE": "execute-api", "AUTH_AWS_PAYLOAD": payload}
        ambassador = Ambassador(start, backend.url, **environ)
        status, _, body = ambassador.ask(REQUEST)
        assert (status, body) == (200, b"ok")
        with Connection.to(ambassador.port) as app:
            fields = raw.request(b"/prod", b"POST", (b"content-length", b"3"), (b"trailer", b"x-sum"))
            app.send(raw.headers(1, fields, raw.END_HEADERS), raw.data(1, b"abc"))
            assert app.round_trip()
            app.send(raw.headers(1, [(b"x-sum", b"7")]))
            message = app.message(1)
            assert message is not None
            assert (message.status, message.body) == (200, b"ok")
    assert [seen.body for seen in service.seen] == [b"abc"] * 2
    assert [trailer.lower() for trailer in service.trailers] == [b"x-sum: 7"] * 2


def test_a_body_with_trailers_for_s3_is_refused_with_the_reason(start: Start) -> None:
    service = Service("s3")
    with backends(service) as (backend,):
        ambassador = Ambassador(start, backend.url, **{**KEYS, "AUTH_AWS_SERVICE": "s3"})
        status, _, body = ambassador.ask(REQUEST)
        assert status == 501
        assert b"the body has trailers, and S3 wants the length of a body" in body
        assert backend.connections == 0
    assert service.seen == []
