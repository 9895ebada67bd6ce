"""A connection from the app to an upstream of any protocol: it becomes one tunnel to an endpoint.

No byte of the app is passed on before a connection to an endpoint is open, so another attempt is always safe. No
protocol is assumed: the server may be the first to send.
"""

from __future__ import annotations

import asyncio
import time

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.setting_types import CONNECT
from sidecars.ambassador.http.local_replies import DEFECT, NO_ADDRESS, NO_ADDRESS_IN_TIME, Cause
from sidecars.ambassador.proxy.tunnel import TunnelEnd
from sidecars.ambassador.transport.streams import peer_host
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.runtime import logs

log = logs.get("ambassador.tcp")


class TcpConnection(TunnelEnd):
    """A connection from the app: it looks for an endpoint, and is the app's end of the tunnel from then on."""

    __slots__ = ("_answered", "_task", "attempts", "failures", "label", "preferred", "started")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream, inbound=True)
        self._task: asyncio.Task[None] | None = None
        self._answered: asyncio.Future[None] | None = None  # by DNS, while its first answer is awaited
        self.preferred: Endpoint | None = None  # the only one that this connection is for
        # For the access log:
        self.started = time.monotonic()
        self.label = ""  # the endpoint at the other end
        self.attempts = 0
        self.failures: list[tuple[str, Cause]] = []

    @property
    def over(self) -> bool:
        """True if the app has left."""
        return self.lost

    @property
    def sent(self) -> int:
        return self.passed

    @property
    def received(self) -> int:
        return self.peer.passed if self.peer is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.upstream.counters.count_accepted()
        cause = self.upstream.clients.admit(self, self.transport)
        if cause is not None:
            self.give_up(cause)
            return
        self._task = self.upstream.loop.create_task(self._find())

    def connection_lost(self, error: Exception | None) -> None:
        now = time.monotonic()
        if self.peer is None:
            self.upstream.clients.remove(self)
            self._go_on()
        elif self.upstream.access_log is not None:
            try:
                self.upstream.access_log.connection(self, now)
            except Exception as defect:  # noqa: BLE001 - a log line is no reason to leave the other end open
                self.upstream.defects.note(defect)
        self.upstream.clients.note_work(now)
        super().connection_lost(error)

    def tick(self, now: float) -> None:
        if self.peer is not None:
            TunnelEnd.tick(self, now)
        elif not self.lost and self.upstream.disconnects.has_closed(self.transport):
            self.transport.abort()  # its bytes are not read while there is no endpoint, so no EOF tells it

    async def _find(self) -> None:
        try:
            await self.attempt_all()
        except Exception as error:  # noqa: BLE001 - the app must not wait for ever
            self.upstream.defects.note(error)
            if not self.lost and self.peer is None:
                self.give_up(DEFECT)

    async def attempt_all(self) -> None:
        """Open a connection to an endpoint, and to another one if that fails; then join the tunnel, or give up."""
        upstream = self.upstream
        tried: list[Endpoint] = []
        cause = await self._await_address() or NO_ADDRESS
        key = upstream.hash_key(b"", peer_host(self.transport)) if upstream.hash_key else b""
        settings = upstream.settings
        may_retry = CONNECT in settings.retry_on.failures and self.preferred is None
        allowed = settings.retries if may_retry else 0
        while len(tried) <= allowed:
            started = time.monotonic()
            endpoint = self.preferred or upstream.balancer.choose(started, tried, key)
            if endpoint is None or self.lost or (tried and started - self.started >= settings.timeout):
                break
            if tried:
                upstream.counters.count_retry()
            tried.append(endpoint)
            self.attempts = len(tried)
            endpoint.begin_attempt(is_retry=len(tried) > 1)
            try:
                opened = await upstream.pool.connect(endpoint, self.new_end, app=self.transport)
            except Exception:
                endpoint.end_attempt()
                upstream.balancer.on_inconclusive(endpoint, started)
                raise
            if isinstance(opened, TunnelEnd):
                upstream.balancer.on_response(endpoint, 200, started, time.monotonic())
                endpoint.connection_opened()
                self.label = endpoint.label
                self.join(opened, endpoint)
                return
            cause = opened
            self.failures.append((endpoint.label, cause))
            endpoint.end_attempt()
            upstream.pool.note_unreachable(endpoint, cause, started)
        if not self.lost:
            self.give_up(cause)

    def new_end(self) -> TunnelEnd:
        """Return the end at an endpoint, for the event loop to open."""
        return TunnelEnd(self.upstream, inbound=False)

    async def _await_address(self) -> Cause | None:
        """Wait for the first answer of DNS, if it has not come yet. Return the cause if that takes too long."""
        upstream = self.upstream
        if not upstream.awaits_dns:
            return None
        refusal = upstream.await_address(self, self._go_on)
        if refusal is None:
            self._answered = upstream.loop.create_future()
            try:
                await asyncio.wait_for(self._answered, upstream.settings.timeout)
            except TimeoutError:
                refusal = NO_ADDRESS_IN_TIME
        return refusal

    def _go_on(self) -> None:
        """End the wait for DNS: it has answered, or the app has left."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def give_up(self, cause: Cause) -> None:
        """End the app's connection, for which there is no endpoint."""
        self.note_failure(cause)
        self.transport.abort()

    def note_failure(self, cause: Cause) -> None:
        """Count and log that there is no endpoint."""
        upstream = self.upstream
        upstream.counters.count_error(cause.error_type)
        if not cause.own_fault:  # own faults are logged where they are found, and not for each connection
            log.warning(
                "a connection could not be made", code="connection-failed", upstream=upstream.name, reason=cause.text
            )
        if upstream.access_log is not None:
            upstream.access_log.connection(self, time.monotonic(), error=cause.error_type)
