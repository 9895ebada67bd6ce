"""Upgrades behind a request that has a body, without a network."""

from __future__ import annotations

import pytest

from tests.ambassador.engine_messages import CHUNKS, SIZED, SWITCHED
from tests.ambassador.exchanges import Pair


@pytest.mark.parametrize("request_", [SIZED, CHUNKS], ids=["Content-Length", "chunked"])
def test_an_upgrade_that_is_agreed_before_the_body_is_whole_begins_behind_it(request_: bytes) -> None:
    for at in range(request_.index(b"\r\n\r\n") + 4, len(request_)):
        with Pair() as pair:
            pair.client.data_received(request_[:at])
            pair.connection.data_received(SWITCHED + b"first")
            assert pair.app.written == b""
            paused = [pair.there.paused]
            pair.client.data_received(request_[at:] + b"second")
            assert pair.app.written.startswith(b"HTTP/1.1 101 ")
            assert pair.app.written.endswith(b"\r\n\r\nfirst")
            assert pair.there.written.endswith(b"second")
            assert pair.there.written.count(b"Upgrade: tcp\r\n") == 1
            assert [*paused, pair.there.paused, pair.app.paused] == [True, False, False]
            assert pair.upstream.admission.under_way == 0
            assert pair.endpoint.pending == 1  # as long as the tunnel lasts
            pair.upstream.clients.open.clear()


def test_a_body_that_stalls_behind_an_agreed_upgrade_is_answered_408() -> None:
    with Pair() as pair:
        pair.client.data_received(SIZED[:-1])
        pair.connection.data_received(SWITCHED)
        now = pair.client.since
        for seconds in (0.0, pair.upstream.settings.idle_timeout + 1):
            pair.client.tick(now + seconds)
        assert pair.app.written.startswith(b"HTTP/1.1 408 ")
        assert pair.there.aborted
        assert pair.endpoint.pending == 0
