"""An upstream of any protocol: each connection from the app becomes one connection to an endpoint.

Nothing of the app's is passed on before an endpoint's connection is open, so that trying another one is always safe,
and a server that speaks first is heard at once: no protocol is guessed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidecars.ambassador.http.local_replies import DEFECT, NO_ADDRESS, Cause
from sidecars.ambassador.proxy.tunnel import TunnelEnd, peer_host
from sidecars.ambassador.setting_types import CONNECT
from sidecars.chassis.runtime import logs

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.upstream.upstream import Upstream

log = logs.get("ambassador.tcp")


class TcpConnection(TunnelEnd):
    """A connection from the app, and its search for the other half."""

    __slots__ = ("_task", "causes", "label", "started", "tries")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream, inbound=True)
        self._task: asyncio.Task[None] | None = None
        # For the access log:
        self.started = time.monotonic()
        self.label = ""  # the endpoint at the other end
        self.tries = 0
        self.causes: list[tuple[str, Cause]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.upstream.counters.accepted += 1
        self.upstream.waiting.add(self)
        cause = self.upstream.admit(transport)
        if cause is not None:
            self._give_up(cause)
            return
        self._task = self.upstream.loop.create_task(self._find())

    def connection_lost(self, error: Exception | None) -> None:
        self.upstream.waiting.discard(self)
        now = time.monotonic()
        self.upstream.at_work_until(now)
        if self.upstream.access is not None and self.peer is not None:
            try:
                self.upstream.access.connection(self, now)
            except Exception as defect:  # noqa: BLE001 - a log line is no reason to leave the other end open
                self.upstream.defects.note(defect)
        super().connection_lost(error)

    async def _find(self) -> None:
        try:
            await self._search()
        except Exception as error:  # noqa: BLE001 - the app must not wait for ever
            self.upstream.defects.note(error)
            if not self.lost and self.peer is None:
                self._give_up(DEFECT)

    async def _search(self) -> None:
        upstream = self.upstream
        tried: list[Endpoint] = []
        cause = NO_ADDRESS
        key = upstream.hash_key(b"", peer_host(self.transport)) if upstream.hash_key else b""
        settings = upstream.settings
        allowed = settings.retries if CONNECT in settings.retry_on.failures else 0
        while len(tried) <= allowed:
            started = time.monotonic()
            endpoint = upstream.balancer.choose(started, tried, key)
            if endpoint is None or self.lost or (tried and started - self.started >= settings.timeout):
                break
            upstream.counters.retries += bool(tried)
            tried.append(endpoint)
            self.tries = len(tried)
            endpoint.begin_attempt(is_retry=len(tried) > 1)
            try:
                made = await upstream.connect(endpoint, lambda: TunnelEnd(upstream, inbound=False))
            except Exception:
                endpoint.end_attempt()
                upstream.balancer.on_inconclusive(endpoint, started)
                raise
            if isinstance(made, TunnelEnd):
                upstream.balancer.on_response(endpoint, 200, started, time.monotonic())
                endpoint.connection_opened()
                upstream.waiting.discard(self)
                self.label = endpoint.label
                self.join(made, endpoint)
                return
            cause = made
            self.causes.append((endpoint.label, cause))
            endpoint.end_attempt()
            upstream.unreached(endpoint, cause, started)
        if not self.lost:
            self._give_up(cause)

    def _give_up(self, cause: Cause) -> None:
        self.upstream.counters.fail(cause.error_type)
        if not cause.own_fault:  # that is logged where it is found, and not for each connection
            log.warning("a connection could not be made", upstream=self.upstream.name, reason=cause.text)
        if self.upstream.access is not None:
            self.upstream.access.connection(self, time.monotonic(), error=cause.error_type)
        self.transport.abort()
