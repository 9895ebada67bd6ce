"""Helpers for the tests of balancing: settings, endpoints, and a balancer with a fixed seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load


def settings(upstream: str = "http://orders", **environ: str) -> UpstreamSettings:
    given = {f"AMBASSADOR_{name}": value for name, value in environ.items()}
    return load(Settings, {"AMBASSADOR_UPSTREAM": upstream, **given}).upstreams["default"]


def make_endpoints(count: int, weights: Sequence[float] = (), priorities: Sequence[int] = ()) -> list[Endpoint]:
    made = [Endpoint(b"orders", f"10.0.{number >> 8}.{number & 255}", 80) for number in range(count)]
    for endpoint, weight in zip(made, weights, strict=False):
        endpoint.full_weight = weight
    for endpoint, priority in zip(made, priorities, strict=False):
        endpoint.priority = priority
    return made


def make_balancer(known: list[Endpoint], balance: str = "ewma", **environ: str) -> Balancer:
    balancer = Balancer(settings(BALANCE=balance, **environ), random.Random(7).random)
    balancer.update(known, (), 0.0)
    return balancer


def count_choices(balancer: Balancer, count: int, now: float = 0.0) -> Counter[Endpoint]:
    """Choose `count` times without an outcome, and count the choices of each endpoint."""
    found: Counter[Endpoint] = Counter()
    for _ in range(count):
        endpoint = balancer.choose(now)
        assert endpoint is not None
        found[endpoint] += 1
    return found


def fail(balancer: Balancer, endpoint: Endpoint, now: float, times: int = 5) -> None:
    """Begin `times` attempts one after the other, and let each fail."""
    for _ in range(times):
        balancer.on_failure(endpoint, now, now)
