"""The addresses of an upstream's proxy: they follow DNS by the same contract as endpoints do. See `dns_target`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.discovery.dns_refresh import Resolver, keep_refreshed
from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.transport.connect_errors import ConnectFailed
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.ways.way import ProxyAddresses
from sidecars.chassis.http.proxy.proxies import Proxy
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")


class FollowedProxy(ProxyAddresses):
    """The addresses of one proxy. Its upstream owns it; the data path runs `follow` as a task."""

    def __init__(self, proxy: Proxy, settings: UpstreamSettings, defects: Defects) -> None:
        self._settings = settings
        self._defects = defects
        self._target = DnsTarget(Target("tcp", proxy.host, proxy.port))
        self._known = asyncio.Event()  # set by the first answer, or by a failure
        self._last = ""  # the address that failed last

    @property
    def needs_lookup(self) -> bool:
        return self._target.needs_lookup

    async def follow(self, resolver: Resolver | None) -> None:
        """Look the proxy up again and again, until cancelled; return at once if it is an address (no `resolver`)."""
        await keep_refreshed(self, self._target, resolver, self._settings.dns_min_ttl)

    async def current(self) -> Sequence[str]:
        await self._known.wait()
        found = [ip for ip, _ in self._target.endpoints]
        if not found:
            text = f"the proxy {self._target.target.host} cannot be looked up: {self._target.error}"
            raise ConnectFailed(Cause("dns_error", 503, text))
        if self._last in found:  # begin behind it
            turn = found.index(self._last) + 1
            found = found[turn:] + found[:turn]
        return found

    def note_failure(self, address: str) -> None:
        self._last = address

    # -- for the look-ups -----------------------------------------------------------------------------------------

    def on_lookup(self) -> None:
        """Do nothing: the metrics count look-ups of endpoints."""

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        target.apply_answer(answer, now, self._settings.dns_min_ttl, self._settings.dns_max_ttl)
        target.drop_drained()
        self._known.set()

    def on_dns_failure(self, target: DnsTarget, error: str) -> None:
        if target.error != error:
            where = {"upstream": self._settings.name, "host": target.target.host}
            log.warning("a name cannot be looked up", code="name-not-resolved", **where, reason=error)
        target.note_failure(error)
        self._known.set()

    def on_defect(self, error: Exception) -> None:
        self._defects.note(error)
