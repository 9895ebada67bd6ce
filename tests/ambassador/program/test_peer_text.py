"""A Retry-After that cannot be converted reaches the app as it is, through the real program."""

from __future__ import annotations

import pytest

from tests.ambassador.support import Ambassador, Peer, backends
from tests.conftest import Start

ODD_PAUSES = [
    b"Fri, 99999999999999999999 Dec 2026 10:00:00 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"9" * 6000,
    b"\xb2",
    b"Mon, 01 Jan 0000 00:00:00 GMT",
]


@pytest.mark.parametrize("status", [b"429 Slow", b"503 Away"])
def test_an_answer_with_an_odd_retry_after_reaches_the_app(start: Start, status: bytes) -> None:
    def handle(peer: Peer) -> None:
        while head := peer.head():
            value = ODD_PAUSES[int(head[5:6])]
            peer.send(b"HTTP/1.1 %b\r\nRetry-After: %b\r\nContent-Length: 4\r\n\r\nbad\n" % (status, value))

    with backends(handle) as (backend,):
        ambassador = Ambassador(start, backend.url, RETRY_ON="429,503", RETRIES="1")
        for number, value in enumerate(ODD_PAUSES):
            response, head, body = ambassador.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert response == int(status[:3])
            assert b"Retry-After: %b\r\n" % value in head
            assert body == b"bad\n"
        assert ambassador.metric("ambassador_defects_total") == 0
