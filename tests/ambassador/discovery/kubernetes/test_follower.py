"""Which source names the endpoints of a Service: Kubernetes, or DNS while the API is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget, LookupFailed, ResolvedAddress
from sidecars.ambassador.discovery.kubernetes.endpoint_slices import parse_slice
from sidecars.ambassador.discovery.kubernetes.follower import Follower, Patience
from sidecars.ambassador.discovery.kubernetes.selection import Wanted
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable
from tests.ambassador.api_server import JsonObject, endpoint, endpoint_slice, leaving
from tests.support import PATIENCE

LONG = 3600.0  # seconds


class Upstream:
    """The upstream and the resolver of one target. Without `addresses` each look-up fails."""

    name = "orders"

    def __init__(self, target: DnsTarget) -> None:
        self.target = target
        self.addresses: list[str] = []
        self.asked: list[str] = []
        self.dns_failures: list[str] = []
        self.defects: list[Exception] = []

    async def lookup(self, host: str) -> DnsAnswer:
        self.asked.append(host)
        if not self.addresses:
            raise LookupFailed("SERVFAIL")
        return DnsAnswer(tuple(map(ResolvedAddress, self.addresses)), 0.01)

    async def lookup_srv(self, name: str) -> DnsAnswer:
        return await self.lookup(name)

    def on_lookup(self) -> None:
        pass

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        target.apply_answer(answer, now, 0.01, 0.01)

    def on_dns_failure(self, target: DnsTarget, error: str) -> None:
        self.dns_failures.append(error)
        target.note_failure(error)

    def on_defect(self, error: Exception) -> None:
        self.defects.append(error)

    @property
    def ips(self) -> list[str]:
        return sorted(ip for ip, _ in self.target.endpoints)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - no event announces the condition
                await asyncio.sleep(0.005)
        assert not self.defects


def table(*endpoints: JsonObject) -> SliceTable:
    made = SliceTable()
    made.replace([parse_slice(endpoint_slice("a", endpoints, 8080))], "7")
    return made


@contextlib.asynccontextmanager
async def following(
    *, grace: float = LONG, first_list: float = LONG, port_name: str = ""
) -> AsyncIterator[tuple[Follower, Upstream]]:
    named = Target("http", "orders.shop", 0 if port_name else 8080, is_kubernetes=True, port_name=port_name)
    target = DnsTarget(named)
    upstream = Upstream(target)
    wanted = Wanted(named.host, named.port, named.port_name)
    follower = Follower(upstream, target, wanted, upstream, Patience(grace, 0.01, first_list), lambda _: True)
    task = asyncio.create_task(follower.fall_back())
    try:
        yield follower, upstream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_while_the_slices_are_followed_dns_is_not_asked() -> None:
    async with following() as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        follower.on_slices(table(endpoint("10.0.0.1"), endpoint("10.0.0.2")))
        await asyncio.sleep(0.05)
        assert upstream.ips == ["10.0.0.1", "10.0.0.2"]
        assert upstream.target.source == "kubernetes"
        assert not upstream.asked


async def test_an_api_that_is_away_at_the_start_leaves_it_to_dns_at_once() -> None:
    async with following() as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        assert upstream.target.source == "none"
        follower.on_api_failure("the API server cannot be reached")
        await upstream.until(lambda: upstream.ips == ["10.9.9.9"])
        assert upstream.asked[0] == "orders.shop.svc"
        assert upstream.target.source == "dns"
        follower.on_slices(table(endpoint("10.0.0.1")))
        assert upstream.ips == ["10.0.0.1"]
        assert upstream.target.source == "kubernetes"
        assert follower.state.error == ""


async def test_an_api_that_is_slow_at_the_start_leaves_it_to_dns_after_a_while() -> None:
    async with following(first_list=0.01) as (_, upstream):
        upstream.addresses = ["10.9.9.9"]
        await upstream.until(lambda: upstream.target.source == "dns")


async def test_endpoints_that_are_known_stay_for_the_grace_and_while_dns_fails() -> None:
    async with following(grace=0.05) as (follower, upstream):
        follower.on_slices(table(endpoint("10.0.0.1")))
        follower.on_api_failure("it is away")
        await upstream.until(lambda: upstream.dns_failures)
        assert upstream.ips == ["10.0.0.1"]
        assert upstream.target.source == "kubernetes"
        upstream.addresses = ["10.9.9.9"]
        await upstream.until(lambda: upstream.target.source == "dns")
        assert upstream.ips == ["10.9.9.9"]
    async with following() as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        follower.on_slices(table(endpoint("10.0.0.1")))
        follower.on_api_failure("it is away")
        await asyncio.sleep(0.05)
        assert not upstream.asked


async def test_a_watch_that_is_resumed_after_dns_restores_what_the_slices_say() -> None:
    async with following(grace=0.0) as (follower, upstream):
        slices = table(endpoint("10.0.0.1"))
        upstream.addresses = ["10.9.9.9"]
        follower.on_slices(slices)
        follower.on_api_failure("it is away")
        await upstream.until(lambda: upstream.ips == ["10.9.9.9"])
        follower.on_watching(slices)
        assert upstream.ips == ["10.0.0.1"]
        asked = len(upstream.asked)
        await asyncio.sleep(0.05)
        assert len(upstream.asked) == asked


async def test_a_port_by_its_name_is_looked_up_as_an_srv_record() -> None:
    async with following(port_name="http") as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        follower.on_api_failure("it is away")
        await upstream.until(lambda: upstream.asked)
        assert upstream.asked[0] == "_http._tcp.orders.shop.svc"


async def test_a_service_without_slices_or_port_leaves_it_to_dns() -> None:
    async with following() as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        follower.on_slices(SliceTable())
        await upstream.until(lambda: upstream.target.source == "dns")
        assert "ExternalName" in follower.state.error
        follower.on_watching(SliceTable())
        assert upstream.target.source == "dns"


async def test_a_service_that_is_scaled_to_nothing_has_no_endpoints_and_dns_is_not_asked() -> None:
    async with following() as (follower, upstream):
        upstream.addresses = ["10.9.9.9"]
        follower.on_slices(table(endpoint("10.0.0.1")))
        follower.on_slices(table())
        await asyncio.sleep(0.05)
        assert upstream.ips == []
        assert upstream.target.error == "the Service orders.shop has no endpoints"
        assert not upstream.asked


async def test_an_endpoint_that_terminates_leaves_and_is_overdue_once_it_is_gone_from_the_slices() -> None:
    async with following() as (follower, upstream):
        follower.on_slices(table(endpoint("10.0.0.1"), endpoint("10.0.0.2")))
        left = upstream.target.endpoints["10.0.0.1", 8080]
        follower.on_slices(table(leaving("10.0.0.1"), endpoint("10.0.0.2")))
        assert left.removed
        assert not left.is_overdue(left.removed_at + LONG, 25.0)
        follower.on_slices(table(endpoint("10.0.0.2")))
        assert not left.is_overdue(left.removed_at, 25.0)
        assert left.is_overdue(left.removed_at + 25.0, 25.0)
        follower.on_slices(table(endpoint("10.0.0.1")))
        assert upstream.target.endpoints["10.0.0.1", 8080] is left
        assert not left.removed
