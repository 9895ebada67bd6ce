"""One upstream: its endpoints, and the collaborators that all exchanges with it share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.admission.admission_queue import AdmissionQueue
from sidecars.ambassador.admission.making import make_deadline_field, make_limits
from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_key import hash_key_function
from sidecars.ambassador.balancing.outlier_ejection import EJECTED, READY
from sidecars.ambassador.config.target_types import PORTS
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.discovery.dns_target import AddressWaiter, AddressWaiters, DnsAnswer, DnsTarget, authority
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bearer_token import BearerToken
from sidecars.ambassador.http.header_edits import combine_edits
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.http2.grpc import MethodPatterns
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.disconnects import Disconnects
from sidecars.ambassador.upstream import access_log
from sidecars.ambassador.upstream.access_log import AccessLog
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.client_registry import ClientRegistry
from sidecars.ambassador.upstream.connection_pool import ConnectionPool
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.retry_budget import RetryBudget
from sidecars.ambassador.upstream.upstream_side import Companion, Identity, Observer
from sidecars.ambassador.upstream.write_round import WriteRound
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch

if TYPE_CHECKING:
    from sidecars.ambassador.discovery.proxy_addresses import FollowedProxy
    from sidecars.ambassador.transport.ways.way import Way

log = logs.get("ambassador")

_MEMORY: Final = 64 * 1024 * 1024  # bytes, of an upstream alone
_LOG_AGAIN: Final = 60.0  # seconds between two log lines about the same protocol


class Upstream:
    """One upstream of the settings. The data path owns it; connections and exchanges use its collaborators.

    It is also the port on which it listens: connections of the app belong to that, and exchanges to an upstream. If
    several upstreams share a port, the port is an object of its own, without targets: it has the app's connections,
    counts requests that no upstream gets, and its `members` are the upstreams.
    """

    # The `routing.route_table.RouteTable` of the port: which member gets a request, and with which addresses. None if
    # all requests are for this one, as they are; then nothing of `routing` is loaded, so its type is not named here.
    routes: object | None = None
    members: Sequence[Upstream] = ()

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        latch: ReadinessLatch,
        drain_timeout: float = 25.0,
        memory: BufferMemory | None = None,
        port: Upstream | None = None,
    ) -> None:
        """`latch` holds readiness until there is an address. `drain_timeout` in seconds.

        `memory` is shared with the other upstreams of the process, and `port` with some of them; None: it has its own.
        """
        self.settings = settings
        self.drain_timeout = drain_timeout
        self.name = settings.name
        self.loop = loop
        self._latch = latch
        self.dns_targets = [
            DnsTarget(target, is_sent_as_name=settings.is_sent_as_name(target)) for target in settings.upstream.targets
        ]
        self._waiters = AddressWaiters()
        self.lookups: int = 0
        self.lookup_failures: int = 0

        self.port: Upstream = port or self
        # Those that a request may name; shared with the parser, and with all upstreams of the port.
        self._authorities: set[bytes] = set() if port is None else port._authorities  # noqa: SLF001 - of this class
        for target in settings.upstream.targets:
            number = target.port or PORTS.get(target.scheme, 0)
            self._authorities |= _authorities(target.scheme, target.service, number)
        self.request_parser = RequestParser(
            self._authorities,
            combine_edits(settings.headers, settings.replaced_fields, settings.all_taken_fields),
            settings.max_headers,
        )
        self.deadline_field = make_deadline_field(settings)
        self.idempotent_methods = MethodPatterns(settings.grpc_idempotent) if settings.grpc_idempotent else None
        self.preserves_host = settings.host == "preserve"
        self._token = (
            BearerToken(settings.token, variable(Settings, "token", settings.name)) if settings.token else None
        )
        self.credentials = b""  # a line of each request, behind its Host
        self.identity: Identity | None = None  # with AUTH: the data path sets it
        self._refresh_token(time.monotonic())
        self._logged_at: dict[str, float] = {}  # protocols that are not spoken here, and when that was logged

        self.hash_key = hash_key_function(settings.balance)
        self.balancer: Balancer = Balancer(settings, on_state_change=self._log_ejection)
        self.budget = RetryBudget(time.monotonic(), settings.retry_budget)
        self.counters: Counters = Counters()
        self.companion: Companion | None = None  # hedges, and copies for a mirror
        self.defects = Defects()
        self.access_log: AccessLog | None = None
        if settings.access_log != access_log.OFF:
            self.access_log = AccessLog(self.name, settings.access_log, by_fields=bool(settings.access_log_fields))
        self.observer: Observer | None = None  # with TRACES, REQUEST_ID_HEADER or ACCESS_LOG_FIELDS
        self.write_round: WriteRound = WriteRound(loop.call_soon) if port is None else port.write_round
        self.memory: BufferMemory = memory or BufferMemory(_MEMORY, settings.max_header_size)
        self.limits = make_limits(settings, loop.call_soon)
        self.balancer.limit = None if self.limits is None else self.limits.adaptive
        self.admission: AdmissionQueue = self.limits or AdmissionQueue(loop.call_soon)
        self.disconnects: Disconnects = Disconnects() if port is None else port.disconnects
        self.cancel_keys: dict[bytes, Endpoint] = {}  # the endpoints of sessions, by their keys: PostgreSQL alone
        self.proxy: FollowedProxy | None = None  # whose addresses the data path keeps
        self.pool: ConnectionPool = ConnectionPool(
            settings,
            loop,
            self.balancer,
            self.counters,
            self.memory,
            self.write_round,
            self.defects,
            self._use_reserve,
            self._make_way() if settings.needs_way else None,
        )
        self.clients: ClientRegistry
        if port is None:
            self.clients = ClientRegistry(settings, self.defects, self._free_descriptor)
            self.memory.serve(self.clients)
        else:
            self.clients = port.clients

    def share(self, members: Sequence[Upstream], routes: object, hosts: Iterable[str] = ()) -> None:
        """Let the routes decide which of these upstreams gets a request. `hosts`: names that a URL may have for us."""
        self.members, self.routes = members, routes
        for host in hosts:
            for number in (PORTS["http"], self.settings.listen.port or 0):
                self._authorities |= _authorities("http", host, number)

    def _free_descriptor(self) -> None:
        self.pool.close_oldest()
        for member in self.members:
            if member is not self:
                member.pool.close_oldest()

    def _make_way(self) -> Way:
        """Return the way to endpoints that TCP and TLS alone do not reach."""
        from sidecars.ambassador.transport.ways.way import Way  # noqa: PLC0415 - most upstreams need none

        if self.settings.proxy is not None:
            from sidecars.ambassador.discovery.proxy_addresses import FollowedProxy  # noqa: PLC0415 - few have a proxy

            self.proxy = FollowedProxy(self.settings.proxy, self.settings, self.defects)
        return Way(self.settings, self.loop, self.proxy)

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
            log.warning(
                "a client speaks another protocol than HTTP",
                code="client-protocol",
                upstream=self.name,
                protocol=protocol,
                advice="use http:// to reach this port",
            )

    def lines_of(self, request: Request, deadline: float, started: float) -> bytes:
        """Return the field lines of an attempt of this request that are the upstream's, each behind a CR LF."""
        if self.deadline_field is None:
            return self.credentials
        return self.credentials + self.deadline_field.line(request, deadline, started)

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
            if target.answered_at and target.needs_lookup and (target.api is None or not target.api.in_force)
        ]
        return max(ages, default=0.0)

    def has_untried(self, tried: Collection[Endpoint | None]) -> bool:
        return any(endpoint not in tried for endpoint in self.endpoints)

    @property
    def awaits_dns(self) -> bool:
        """True from the start until the first good answer, or until the first look-up of each target has failed."""
        return not self.endpoints and any(
            target.answered_at is None and not target.error for target in self.dns_targets
        )

    def await_address(self, waiter: AddressWaiter, go_on: Callable[[], object]) -> Cause | None:
        """Call `go_on` once there is an address, or none comes. Return the cause if nothing may be awaited."""
        if not self.awaits_dns:
            return local_replies.NO_ADDRESS
        is_admitted = self._waiters.admit(waiter, go_on, self.settings.max_pending)
        return None if is_admitted else local_replies.TOO_MANY_PENDING

    def _end_wait(self) -> None:
        """Let those go on that wait for the first answer of DNS."""
        if not self.awaits_dns:
            for go_on in self._waiters.end():
                self.loop.call_soon(go_on)

    def on_lookup(self) -> None:
        self.lookups += 1

    def on_defect(self, error: Exception) -> None:
        self.defects.note(error)

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        """Take up the endpoints that are new, and close the idle connections to those that are gone."""
        if target.error and answer.addresses and not answer.is_complete:
            log.info("a name can be looked up again", upstream=self.name, host=target.target.host)
        new, gone = target.apply_answer(answer, now, self.settings.dns_min_ttl, self.settings.dns_max_ttl)
        self.balancer.update(new, gone, now)
        for endpoint in gone:
            self.pool.leave(endpoint)
        self._end_wait()
        if self.endpoints:
            self._latch.release()
        elif self._latch.reason and target.error:
            self._latch.hold(f"it has no address yet: {target.target.host}: {target.error}")
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
            api = f"Kubernetes: {target.api.error}; DNS: " if target.api is not None and target.api.error else ""
            self._latch.hold(f"it has no address yet: {target.target.host}: {api}{error}")

    def _log_ejection(self, endpoint: Endpoint) -> None:
        if endpoint.ejection.state is EJECTED:
            status = endpoint.failure_status
            reason = f"it responded with {status}" if status else endpoint.failure_text
            log.warning(
                "an endpoint is ejected",
                code="endpoint-ejected",
                upstream=self.name,
                address=endpoint.label,
                cause=endpoint.ejection.cause,
                failures=endpoint.ejection.consecutive_failures,
                reason=reason,
                times=endpoint.ejection.count,
                seconds=round(endpoint.ejection.ends_at - endpoint.ejection.entered_at, 1),
            )
        elif endpoint.ejection.state is READY:
            log.info("an ejected endpoint has returned", upstream=self.name, address=endpoint.label)

    # -- life -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Apply time-outs and end ejections. Called five times a second."""
        self.balancer.tick(now)
        self.admission.tick(now)
        self.budget.refill(now)
        self._refresh_token(now)
        self.clients.tick(now)
        for beside in (self.companion, self.identity):
            if beside is not None:
                beside.tick(now)
        for target in self.dns_targets:
            if target.leaving:
                target.drop_drained()
        self.pool.close_expired(now)

    def drain(self, now: float) -> None:
        """End every connection of the app with its next response; call it until `clients.is_busy` is False."""
        self.pool.drain()
        self.clients.drain(now)

    def close(self) -> None:
        """Close all connections."""
        for beside in (self.companion, self.identity):
            if beside is not None:
                beside.close()
        self.clients.abort()
        self.pool.close()
        self.disconnects.close()


def _authorities(scheme: str, host: str, port: int) -> set[bytes]:
    """Return the names that a URL may have for this place, in lower case."""
    shown = authority("", host, port)
    return {shown.lower().encode(), authority(scheme, host, port).lower().encode()}
