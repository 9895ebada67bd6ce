"""One upstream: its endpoints, and the collaborators that all exchanges with it share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_key import hash_key_function
from sidecars.ambassador.balancing.outlier_ejection import EJECTED, READY
from sidecars.ambassador.discovery.dns_refresh import is_address
from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget, authority
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bearer_token import BearerToken
from sidecars.ambassador.http.head_rules import HTTP2
from sidecars.ambassador.http.header_edits import combine_edits
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.disconnects import Disconnects
from sidecars.ambassador.upstream import access_log
from sidecars.ambassador.upstream.access_log import AccessLog
from sidecars.ambassador.upstream.admission import AdmissionQueue
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.client_registry import ClientRegistry
from sidecars.ambassador.upstream.connection_pool import ConnectionPool
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.retry_budget import RetryBudget
from sidecars.chassis.config.settings import variable
from sidecars.chassis.config.urls import DEFAULT_PORTS
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch

log = logs.get("ambassador")

_MEMORY: Final = 64 * 1024 * 1024  # bytes, of an upstream alone
_LOG_AGAIN: Final = 60.0  # seconds between two log lines about the same protocol


class Upstream:
    """One upstream of the settings. The data path owns it; connections and exchanges use its collaborators."""

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        latch: ReadinessLatch,
        drain_timeout: float = 25.0,
        memory: BufferMemory | None = None,
    ) -> None:
        """`latch` holds readiness until there is an address. `drain_timeout` in seconds.

        `memory` is shared with the other upstreams of the process.
        """
        self.settings = settings
        self.drain_timeout = drain_timeout
        self.name = settings.name
        self.loop = loop
        self._latch = latch
        self.dns_targets = [DnsTarget(target) for target in settings.upstream.targets]
        self._on_address: list[Callable[[], object]] = []
        self.lookups: int = 0
        self.lookup_failures: int = 0

        self._authorities: set[bytes] = set()  # shared with the parser
        for target in settings.upstream.targets:
            port = target.port or DEFAULT_PORTS.get(target.scheme, 0)
            self._authorities |= _authorities(target.scheme, target.service, port)
        self.request_parser = RequestParser(
            self._authorities,
            combine_edits(settings.headers, has_token=settings.token is not None),
            settings.max_headers,
        )
        self.preserves_host = settings.host == "preserve"
        self._token = (
            BearerToken(settings.token, variable(Settings, "token", settings.name)) if settings.token else None
        )
        self.credentials = b""  # a line of each request, behind its Host
        self._refresh_token(time.monotonic())
        self._logged_at: dict[str, float] = {}  # protocols that are not spoken here, and when that was logged

        self.hash_key = hash_key_function(settings.balance)
        self.balancer: Balancer = Balancer(settings, on_state_change=self._log_ejection)
        self.budget = RetryBudget(time.monotonic(), settings.retry_budget)
        self.counters: Counters = Counters()
        self.defects = Defects()
        self.access_log = AccessLog(self.name, settings.access_log) if settings.access_log != access_log.OFF else None
        self.memory: BufferMemory = memory or BufferMemory(_MEMORY, settings.max_header_size)
        self.admission = AdmissionQueue(loop.call_soon)
        self.disconnects: Disconnects = Disconnects()
        self.pool: ConnectionPool = ConnectionPool(
            settings, loop, self.balancer, self.counters, self.memory, self._use_reserve
        )
        self.clients: ClientRegistry = ClientRegistry(settings, self.defects, self.pool.idle.close_oldest)
        self.memory.serve(self.clients)

    def _use_reserve(self) -> None:
        self.clients.use_reserve()

    def listens_on(self, host: str, port: int) -> None:
        """Add an address of ours, which a request's target in absolute form may name, too."""
        for name in (host, "localhost"):
            self._authorities |= _authorities("http", name, port)

    def log_protocol(self, protocol: str) -> None:
        """Log, at most once a minute, that a client speaks a protocol which is not spoken on this port."""
        now = time.monotonic()
        if now - self._logged_at.get(protocol, -_LOG_AGAIN) >= _LOG_AGAIN:
            self._logged_at[protocol] = now
            advice = "use HTTP/1.1, or a tcp:// UPSTREAM" if protocol == HTTP2 else "use http:// to reach this port"
            log.warning(
                "a client does not speak HTTP/1.1",
                code="client-protocol",
                upstream=self.name,
                protocol=protocol,
                advice=advice,
            )

    def _refresh_token(self, now: float) -> None:
        if self._token is not None:
            self._token.refresh(now)
            self.credentials = self._token.line

    # -- endpoints ------------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints that DNS names."""
        return [endpoint for target in self.dns_targets for endpoint in target.endpoints.values()]

    @property
    def endpoints_and_leaving(self) -> list[Endpoint]:
        """The endpoints that DNS names, and the removed ones that still have connections."""
        return self.endpoints + [endpoint for target in self.dns_targets for endpoint in target.leaving.values()]

    @property
    def dns_age(self) -> float:
        """Seconds since the last good DNS answer, of the name for which it is oldest; 0 if there are only addresses."""
        ages = [
            time.monotonic() - target.answered_at
            for target in self.dns_targets
            if target.answered_at and not is_address(target.target.host)
        ]
        return max(ages, default=0.0)

    def has_untried(self, tried: Collection[Endpoint]) -> bool:
        return any(endpoint not in tried for endpoint in self.endpoints)

    @property
    def awaits_dns(self) -> bool:
        """True from the start until the first good answer, or until the first look-up of each target has failed."""
        return not self.endpoints and any(
            target.answered_at is None and not target.error for target in self.dns_targets
        )

    def await_address(self, go_on: Callable[[], object]) -> Cause | None:
        """Call `go_on` once there is an address, or none comes. Return the cause if nothing may be awaited."""
        if not self.awaits_dns:
            return local_replies.NO_ADDRESS
        if len(self._on_address) >= self.settings.max_pending:
            return local_replies.TOO_MANY_PENDING
        self._on_address.append(go_on)
        return None

    def _end_wait(self) -> None:
        """Let those go on that wait for the first answer of DNS."""
        if self._on_address and not self.awaits_dns:
            waiting, self._on_address = self._on_address, []
            for go_on in waiting:
                self.loop.call_soon(go_on)

    def on_lookup(self) -> None:
        self.lookups += 1

    def on_defect(self, error: Exception) -> None:
        self.defects.note(error)

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        """Take up the endpoints that are new, and close the idle connections to those that are gone."""
        if target.error and answer.addresses:
            log.info("a name can be looked up again", upstream=self.name, host=target.target.host)
        new, gone = target.apply_answer(answer, now, self.settings.dns_min_ttl, self.settings.dns_max_ttl)
        self.balancer.update(new, gone, now)
        for endpoint in gone:
            self.pool.idle.close_all(endpoint)
        self._end_wait()
        if self.endpoints:
            self._latch.release()
        if new or gone:
            log.info(
                "endpoints changed",
                upstream=self.name,
                target=str(target.target),
                added=",".join(endpoint.label for endpoint in new),
                removed=",".join(endpoint.label for endpoint in gone),
            )

    def on_dns_failure(self, target: DnsTarget, error: str) -> None:
        """Note that DNS has not answered; the endpoints that are known stay."""
        self.lookup_failures += 1
        if target.error != error:
            log.warning(
                "a name cannot be looked up",
                code="name-not-resolved",
                upstream=self.name,
                host=target.target.host,
                reason=error,
            )
        target.note_failure(error)
        self._end_wait()
        if self._latch.reason:
            self._latch.hold(f"it has no address yet: {target.target.host}: {error}")

    def _log_ejection(self, endpoint: Endpoint) -> None:
        if endpoint.ejection.state is EJECTED:
            status = endpoint.failure_status
            reason = f"it responded with {status}" if status else endpoint.failure_text
            log.warning(
                "an endpoint is ejected",
                code="endpoint-ejected",
                upstream=self.name,
                address=endpoint.label,
                failures=endpoint.ejection.consecutive_failures,
                reason=reason,
                seconds=round(endpoint.ejection.ends_at - endpoint.ejection.entered_at, 1),
            )
        elif endpoint.ejection.state is READY:
            log.info("an ejected endpoint has returned", upstream=self.name, address=endpoint.label)

    # -- life -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Apply time-outs and end ejections. Called five times a second."""
        self.balancer.tick(now)
        self.budget.refill(now)
        self._refresh_token(now)
        self.clients.tick(now)
        for target in self.dns_targets:
            if target.leaving:
                target.drop_drained()
        self.pool.idle.close_expired(now)

    def drain(self, now: float) -> None:
        """End every connection of the app with its next response; call it until `clients.is_busy` is False."""
        self.pool.drain()
        self.clients.drain(now)

    def close(self) -> None:
        """Close all connections."""
        self.clients.abort()
        self.pool.close()
        self.disconnects.close()


def _authorities(scheme: str, host: str, port: int) -> set[bytes]:
    """Return the names that a URL may have for this place, in lower case."""
    shown = authority("", host, port)
    return {shown.lower().encode(), authority(scheme, host, port).lower().encode()}
