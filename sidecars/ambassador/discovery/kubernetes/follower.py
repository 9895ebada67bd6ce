"""The endpoints of a `k8s://` target: by EndpointSlices, and by DNS while the API is away.

Which source is in force:

    from the start   nothing yet: requests wait. DNS if the API fails, or does not answer in 2 s
    kubernetes       since the first list. It stays in force when the API goes away, for KUBERNETES_GRACE
    dns              after that time, with its first good answer; until the API is back

While the API is away the endpoints stay that are known. An answer of DNS replaces them, a failed look-up does not.

The name for DNS is `orders.shop.svc`; the search list of resolv.conf completes it. A port by its name is looked up as
SRV record, `_http._tcp.orders.shop.svc`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sidecars.ambassador.discovery.dns_refresh import DnsListener, Resolver
from sidecars.ambassador.discovery.dns_target import ApiState, DnsAnswer, DnsTarget, LookupFailed
from sidecars.ambassador.discovery.kubernetes.selection import Wanted, choose_endpoints
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable
from sidecars.ambassador.http.local_replies import DEFECT
from sidecars.ambassador.transport.host_routes import has_route
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_RETRY_AFTER_FAILURE: Final = 1.0  # seconds between look-ups, or DNS_MIN_TTL if that is less


@dataclass(frozen=True, slots=True)
class Patience:
    """Times in seconds: KUBERNETES_GRACE, DNS_MIN_TTL, and the time for the first list before DNS is asked, too."""

    grace: float
    min_ttl: float
    first_list: float = 2.0


class FollowingUpstream(DnsListener, Protocol):
    """The upstream whose target is followed."""

    name: str


class Follower:
    """Follows one target. The data path owns it. It is the listener of a SliceWatch."""

    def __init__(
        self,
        upstream: FollowingUpstream,
        target: DnsTarget,
        wanted: Wanted,
        resolver: Resolver,
        patience: Patience,
        routes: Callable[[str], bool] = has_route,
    ) -> None:
        self._upstream = upstream
        self._target = target
        self._wanted = wanted
        self._resolver = resolver
        self._patience = patience
        self._routes = routes
        self._away_since: float | None = time.monotonic()  # None while the slices are followed
        self._moved = asyncio.Event()  # set when `_away_since`, the error or the source changes
        self.state = ApiState()
        target.follow(self.state)

    # -- the API --------------------------------------------------------------------------------------------------

    def on_heard(self) -> None:
        self.state.heard_at = time.monotonic()

    def on_defect(self, error: Exception) -> None:
        self._upstream.on_defect(error)

    def on_slices(self, table: SliceTable) -> None:
        """Choose the endpoints, and give them to the upstream."""
        found = choose_endpoints(table.slices.values(), self._wanted, self._routes)
        self.state.slices, self.state.listed, self.state.problem = len(table.slices), len(found.listed), found.problem
        if found.problem:
            self._fail(found.problem)
            return
        self.state.note = found.note
        self._succeed()
        answer = DnsAnswer(found.addresses, 0.0, reason=found.note, is_complete=True, listed=found.listed)
        self._upstream.on_dns_answer(self._target, answer, time.monotonic())

    def on_watching(self, table: SliceTable) -> None:
        """Let the slices be in force again: DNS may have named other endpoints meanwhile."""
        self.on_slices(table)

    def on_api_failure(self, reason: str) -> None:
        self.state.failures += 1
        self._fail(reason)

    def _succeed(self) -> None:
        """Let the slices be in force."""
        state = self.state
        if state.error:
            log.info("EndpointSlices are followed again", upstream=self._upstream.name, service=self._wanted.service)
        state.error, state.in_force, self._away_since = "", True, None
        self._moved.set()

    def _fail(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._moved.set()
        if self.state.error != reason:
            log.warning(
                "EndpointSlices cannot be followed",
                code="endpoint-slices-not-followed",
                upstream=self._upstream.name,
                service=self._wanted.service,
                reason=reason,
            )
            self.state.error = reason
            self._moved.set()

    # -- DNS ------------------------------------------------------------------------------------------------------

    async def fall_back(self) -> None:
        """Look the Service up in DNS while it is time to, until cancelled."""
        while True:
            self._moved.clear()
            wait = self._until_dns(time.monotonic())
            if wait > 0:
                await self._wait(wait)
                continue
            failure = await self._look_up()
            if self._until_dns(time.monotonic()) > 0:
                continue  # the API is back
            if failure:
                self._upstream.on_dns_failure(self._target, failure)
            await self._wait(min(_RETRY_AFTER_FAILURE, self._patience.min_ttl) if failure else self._target.valid_for)

    def _until_dns(self, now: float) -> float:
        """Return the seconds until DNS is asked: 0 if it is time, infinity while the slices are followed."""
        if self._away_since is None:
            return math.inf
        away = now - self._away_since
        if self.state.in_force and self._target.endpoints:
            return max(0.0, self._patience.grace - away)
        if self.state.error:
            return 0.0
        return max(0.0, self._patience.first_list - away)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until something has changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._moved.wait()

    async def _look_up(self) -> str:
        """Look the Service up, and apply the answer if DNS is wanted still. Return why it failed, "" for success."""
        target = self._target.target
        self._upstream.on_lookup()
        try:
            if target.port_name:
                answer = await self._resolver.lookup_srv(f"_{target.port_name}._tcp.{target.service}")
            else:
                answer = await self._resolver.lookup(target.service)
            if self._until_dns(time.monotonic()) <= 0:
                self._apply(answer)
        except LookupFailed as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - no answer of a name server may end the loop
            self._upstream.on_defect(error)
            return DEFECT.text
        return ""

    def _apply(self, answer: DnsAnswer) -> None:
        """Let DNS name the endpoints."""
        if self.state.in_force or self._target.answered_at is None:
            log.warning(
                "DNS names the endpoints in place of the Kubernetes API",
                code="dns-in-place-of-kubernetes",
                upstream=self._upstream.name,
                service=self._wanted.service,
                reason=self.state.error or "the API server has not answered yet",
            )
        self.state.in_force = False
        self._upstream.on_dns_answer(self._target, answer, time.monotonic())
