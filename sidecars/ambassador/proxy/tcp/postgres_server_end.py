"""The endpoint's end of a tunnel of PostgreSQL: it notes the key by which the session may be cancelled."""

from __future__ import annotations

from sidecars.ambassador.proxy.tunnel import TunnelEnd
from sidecars.ambassador.transport.ways.postgres import ServerStart
from sidecars.ambassador.upstream.upstream import Upstream


class ServerEnd(TunnelEnd):
    """The end at an endpoint."""

    __slots__ = ("_is_cancelling", "_start")

    def __init__(self, upstream: Upstream, *, is_cancelling: bool) -> None:
        """`is_cancelling` is True if nothing but a CancelRequest is sent: the server only closes then."""
        super().__init__(upstream, inbound=False)
        self._is_cancelling = is_cancelling
        self._start = ServerStart()

    def take(self, data: bytes | memoryview) -> None:
        start = self._start
        if start.is_over or self.peer is None:
            TunnelEnd.take(self, data)
            return
        passed = start.feed(bytes(data))
        if start.key and self.endpoint is not None:
            self.upstream.cancel_keys[start.key] = self.endpoint
        if passed:
            TunnelEnd.take(self, passed)

    def eof_received(self) -> bool:
        held = self._start.end()
        if held:
            TunnelEnd.take(self, held)
        return TunnelEnd.eof_received(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._start.key:
            self.upstream.cancel_keys.pop(self._start.key, None)
        if (
            self._is_cancelling
        ):  # servers end it without TLS's close_notify; the app's library takes a reset for a failure
            self.ended = True
            error = None
        TunnelEnd.connection_lost(self, error)
