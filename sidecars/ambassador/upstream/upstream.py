"""One upstream: its endpoints, the connections to them, and everything that the exchanges with it share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

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
from sidecars.ambassador.proxy.retry import RetryBudget
from sidecars.ambassador.proxy.tunnel import reset
from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.ambassador.transport import connect_errors, upstream_tls
from sidecars.ambassador.transport.acceptor import Listener, most_descriptors
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.disconnects import Disconnects
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.ambassador.upstream import access_log
from sidecars.ambassador.upstream.access_log import AccessLog
from sidecars.ambassador.upstream.admission import AdmissionQueue
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch

if TYPE_CHECKING:
    from sidecars.ambassador.proxy.client_connection import ClientConnection
    from sidecars.ambassador.proxy.exchange import Exchange
    from sidecars.ambassador.proxy.tcp_connection import TcpConnection
    from sidecars.ambassador.proxy.tunnel import TunnelEnd

log = logs.get("ambassador")

_LONG: Final = 24 * 3600.0  # seconds
_LOOK: Final = 1.0  # seconds between looks at the app's connections, where no limit asks for more
_NEXT_CONNECTION: Final = 0.5  # seconds that a drain waits for another one of an app that is at work
_TELL_AGAIN: Final = 60.0  # seconds between log lines about the same thing


class Upstream:
    """One upstream at work."""

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        latch: ReadinessLatch,
        drain_timeout: float = 25.0,
    ) -> None:
        self.settings = settings
        self._drain_timeout = drain_timeout
        self.name = settings.name
        self.loop = loop
        self._latch = latch  # held while there is no address
        self.dns_targets = [DnsTarget(target) for target in settings.upstream.targets]
        self.authorities: set[bytes] = set()
        for place in settings.upstream.targets:
            self.authorities |= _authorities(place.scheme, place.host, place.port)
        self.request_parser = RequestParser(
            self.authorities,
            combine_edits(settings.headers, has_token=settings.token is not None),
            settings.max_headers,
        )
        self.preserves_host = settings.host == "preserve"
        self._token = (
            BearerToken(settings.token, variable(Settings, "token", settings.name)) if settings.token else None
        )
        self.access = AccessLog(settings.name, settings.access_log) if settings.access_log != access_log.OFF else None
        self._tls = upstream_tls.client(settings) if settings.upstream.tls else None
        self.credentials = b""  # a line of each request, behind its Host
        self._authenticate(time.monotonic())
        self.hash_key = hash_key_function(settings.balance)
        self.balancer: Balancer = Balancer(settings, on_state_change=self._log_ejection)
        self.budget = RetryBudget(time.monotonic(), settings.retry_budget)
        self.counters: Counters = Counters()
        self.defects = Defects()
        self.admission = AdmissionQueue(loop.call_soon)
        self.disconnects: Disconnects = Disconnects()
        self.listeners: list[Listener] = []
        self._most_descriptors = most_descriptors()
        self.clients: set[ClientConnection] = set()
        self.tunnels: set[TunnelEnd] = set()
        self.waiting: set[TcpConnection] = set()
        self._worked_until = 0.0  # when a connection of the app that has ended was last at work
        # With many connections to look at, how often is a cost; a fifth of the shortest limit is exact enough.
        limits = (settings.timeout, settings.idle_timeout, settings.stream_idle_timeout)
        shortest = min(*limits, settings.try_timeout or _LONG, settings.total_timeout or _LONG)
        self._look_every = min(_LOOK, shortest / 5)
        self._look_at = 0.0
        self.draining = False
        self.connects: int = 0
        self.connect_failures: int = 0
        self.lookups: int = 0
        self.lookup_failures: int = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._told_of: dict[str, float] = {}  # protocols that are not spoken here, and when that was logged

    def admit(self, transport: asyncio.BaseTransport) -> Cause | None:
        """Return why a new connection of the app, already counted as open, is turned away; None if it is not."""
        own = transport.get_extra_info("socket")
        descriptor: int = -1 if own is None else own.fileno()
        for listener in self.listeners:
            listener.accepted(descriptor)
        if descriptor >= self._most_descriptors:  # one of the reserve
            self._shed()
            return local_replies.NO_DESCRIPTORS
        return local_replies.TOO_MANY_CONNECTIONS if self.open_clients > self.settings.max_connections else None

    def listens_on(self, host: str, port: int) -> None:
        """Note where the app reaches us: a target in absolute form may name that, too."""
        for name in (host, "localhost"):
            self.authorities |= _authorities("http", name, port)

    # -- endpoints ------------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for name in self.dns_targets for endpoint in name.endpoints.values()]

    @property
    def endpoints_and_leaving(self) -> list[Endpoint]:
        """Those, and those that DNS names no more but that have connections."""
        return self.endpoints + [endpoint for name in self.dns_targets for endpoint in name.leaving.values()]

    @property
    def open_clients(self) -> int:
        return len(self.clients) + len(self.tunnels) + len(self.waiting)

    @property
    def dns_age(self) -> float:
        """Seconds since the oldest of the last good answers about names; 0 where there are only addresses."""
        ages = [
            time.monotonic() - name.answered_at
            for name in self.dns_targets
            if name.answered_at and not is_address(name.target.host)
        ]
        return max(ages, default=0.0)

    def on_lookup(self) -> None:
        self.lookups += 1

    def on_defect(self, error: Exception) -> None:
        self.defects.note(error)

    def on_dns_answer(self, name: DnsTarget, answer: DnsAnswer, now: float) -> None:
        """DNS has answered: take up what is new, and leave what is gone."""
        if name.error and answer.found:
            log.info("a name can be looked up again", upstream=self.name, host=name.target.host)
        new, gone = name.apply_answer(answer, now, self.settings.dns_min_ttl, self.settings.dns_max_ttl)
        self.balancer.update(new, gone, now)
        for endpoint in gone:
            for connection in list(endpoint.idle):
                connection.discard()
        if self.endpoints:
            self._latch.release()
        if new or gone:
            log.info(
                "endpoints changed",
                upstream=self.name,
                target=str(name.target),
                added=",".join(endpoint.label for endpoint in new),
                removed=",".join(endpoint.label for endpoint in gone),
            )

    def on_dns_failure(self, name: DnsTarget, error: str) -> None:
        """DNS has not answered: what was known still holds."""
        self.lookup_failures += 1
        if name.error != error:
            log.warning("a name cannot be looked up", upstream=self.name, host=name.target.host, reason=error)
        name.note_failure(error)
        if self._latch.reason:
            self._latch.hold(f"it has no address yet: {name.target.host}: {error}")

    def _log_ejection(self, endpoint: Endpoint) -> None:
        if endpoint.ejection.state is EJECTED:
            log.warning(
                "an endpoint is ejected",
                upstream=self.name,
                address=endpoint.label,
                failures=endpoint.ejection.consecutive_failures,
                seconds=round(endpoint.ejection.ends_at - endpoint.ejection.since, 1),
            )
        elif endpoint.ejection.state is READY:
            log.info("an ejected endpoint has returned", upstream=self.name, address=endpoint.label)

    def has_untried(self, tried: Collection[Endpoint]) -> bool:
        return any(endpoint not in tried for endpoint in self.endpoints)

    def leave(self, endpoint: Endpoint) -> None:
        """A try at this endpoint is over."""
        endpoint.end_attempt()

    def _authenticate(self, now: float) -> None:
        if self._token is not None:
            self._token.refresh(now)
            self.credentials = self._token.line

    def foreign(self, protocol: str) -> None:
        """Log, at most once a minute, that a client speaks a protocol which is not spoken on this port."""
        now = time.monotonic()
        if now - self._told_of.get(protocol, -_TELL_AGAIN) >= _TELL_AGAIN:
            self._told_of[protocol] = now
            advice = "use HTTP/1.1, or a tcp:// UPSTREAM" if protocol == HTTP2 else "use http:// to reach this port"
            log.warning("a client does not speak HTTP/1.1", upstream=self.name, protocol=protocol, advice=advice)

    # -- connections ----------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Connections that are being opened."""
        return len(self._opening)

    def open(self, endpoint: Endpoint, exchange: Exchange) -> None:
        """Open a connection for this exchange; it is told through `attach` or `lost`."""
        task = self.loop.create_task(self._open(endpoint, exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, endpoint: Endpoint, exchange: Exchange) -> None:
        try:
            await self._open_for(endpoint, exchange)
        except Exception as error:  # noqa: BLE001 - the exchange must not wait for ever
            exchange.defect(error)

    async def _open_for(self, endpoint: Endpoint, exchange: Exchange) -> None:
        started = time.monotonic()
        made = await self.connect(endpoint, lambda: UpstreamConnection(self, endpoint))
        cause = (
            (local_replies.CONNECTION_CLOSED if made.transport.is_closing() else None)
            if isinstance(made, UpstreamConnection)
            else made
        )
        if cause and not exchange.over:
            exchange.lost(cause)
        elif cause:
            self.unreached(endpoint, cause, started)  # the app did not wait to hear it, but the next one profits
        elif not exchange.over:
            exchange.attach(made)
        elif endpoint.removed or self.draining:
            made.discard()
        else:
            made.since = time.monotonic()
            endpoint.idle.append(made)

    async def connect(self, endpoint: Endpoint, protocol: Any) -> Any:
        """The protocol, connected to the endpoint, or the Cause why it is not."""
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                transport, made = await self.loop.create_connection(
                    protocol, endpoint.ip, endpoint.port, **self._encryption(endpoint)
                )
        except TimeoutError:
            cause = local_replies.CONNECT_TIMEOUT
        except OSError as error:
            cause = connect_errors.of_connecting(error, endpoint.ip)
            if cause is local_replies.NO_DESCRIPTORS:
                self._shed()
                for listener in self.listeners:
                    listener.take_over()
        except ValueError as refusal:  # of ssl, about a host name: UnicodeError is one, too
            cause = Cause("tls_protocol_error", 502, f"no certificate can have this name: {refusal}")
        else:
            set_keepalive(transport.get_extra_info("socket"), self.settings.tcp_keepalive)
            self.connects += 1
            return made
        self.connect_failures += 1
        return cause

    def unreached(self, endpoint: Endpoint, cause: Cause, started: float) -> None:
        """Note that a connection to the endpoint, begun at `started`, did not open."""
        if cause.own_fault:
            self.balancer.on_inconclusive(endpoint, time.monotonic())
        else:
            self.balancer.on_failure(endpoint, started, time.monotonic(), unreachable=True)

    def _shed(self) -> None:
        """Close the connection that has been idle for the longest time, to free its descriptor."""
        idle: list[UpstreamConnection] = [endpoint.idle[0] for endpoint in self.endpoints if endpoint.idle]
        if idle:
            min(idle, key=lambda connection: connection.since).discard()

    def _encryption(self, endpoint: Endpoint) -> dict[str, Any]:
        """What opening a connection to the endpoint needs to be told about TLS."""
        if self._tls is None or not endpoint.tls:
            return {}
        name = self.settings.tls_server_name or endpoint.server_name
        return {"ssl": self._tls.context(), "server_hostname": name}

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """A few times a second: whoever waits too long is dealt with."""
        self.balancer.tick(now)
        self.budget.refill(now)
        self._authenticate(now)
        if now >= self._look_at:
            self._look_at = now + self._look_every
            for client in list(self.clients):
                self._tick(client, now)
            for relay in list(self.tunnels):
                self._tick(relay, now)
        for name in self.dns_targets:
            if name.leaving:
                name.drop_drained()
                self._leave_behind(now)
        for endpoint in self.endpoints:
            idle = endpoint.idle  # the one that has been so for the longest time is the first
            while idle and now - idle[0].since >= idle[0].idle_limit:
                idle[0].discard()

    def _tick(self, one: ClientConnection | TunnelEnd, now: float) -> None:
        try:
            one.tick(now)
        except Exception as error:  # noqa: BLE001 - the others' time goes on
            self.defects.note(error)
            reset(one.transport)

    def _leave_behind(self, now: float) -> None:
        """Break off the tunnels to addresses that DNS has not named for DRAIN_TIMEOUT: the app makes new ones."""
        for relay in list(self.tunnels):
            endpoint = relay.peer.endpoint if relay.peer is not None else None
            if endpoint is not None and endpoint.removed and now - endpoint.removed_at >= self._drain_timeout:
                relay.abort()

    def drain(self, now: float) -> None:
        """From now on every connection ends with its next answer; to be called until it is not busy any more."""
        self.draining = True
        for client in list(self.clients):
            client.close_if_idle(now)

    def is_busy(self, now: float) -> bool:
        """Whether the app has connections, or was at work so recently that its next one may be on its way."""
        return bool(self.clients or self.tunnels or self.waiting) or now - self._worked_until < _NEXT_CONNECTION

    def at_work_until(self, when: float) -> None:
        """A connection of the app has ended that was at work until then."""
        self._worked_until = max(self._worked_until, when)

    def close(self) -> None:
        """End everything that is still there."""
        for task in self._opening:
            task.cancel()
        for client in list(self.clients):
            client.abort()
        for relay in list(self.tunnels):
            relay.abort()
        for endpoint in self.endpoints:
            for connection in list(endpoint.idle):
                connection.discard()
        self.disconnects.close()


def _authorities(scheme: str, host: str, port: int) -> set[bytes]:
    """How a URL may name this place, in lower case."""
    shown = authority("", host, port)
    return {shown.lower().encode(), authority(scheme, host, port).lower().encode()}
