"""Admission of requests in the real program: a server that waits for all of them gets all of them."""

from __future__ import annotations

import threading

from sidecars.ambassador.admission.admission_queue import AT_ONCE
from tests.ambassador.support import GET, Ambassador, Peer, backends
from tests.conftest import Start
from tests.support import PATIENCE

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_an_upstream_that_answers_nobody_until_all_have_asked_gets_to_answer(start: Start) -> None:
    clients = 2 * AT_ONCE
    together = threading.Barrier(clients)

    def handle(peer: Peer) -> None:
        while peer.head():
            together.wait(PATIENCE)
            peer.send(RESPONSE)

    with backends(handle) as (backend,):
        ambassador = Ambassador(start, backend.url)
        apps = [ambassador.connect() for _ in range(clients)]
        for app in apps:
            app.send(GET)
        assert {app.response()[0] for app in apps} == {200}
        for app in apps:
            app.close()
