"""One run: the ambassador's own upstream, exchanges, admission, retries and balancing, with apps and replicas around.

    App ──▶ Exchange ──▶ admission ──▶ attempts ──▶ balancer ──▶ Side ──▶ Replica
    (Poisson)   (real)       (real)       (real)        (real)    (in place of a connection)

All of it is the code that runs in an image, but for connections and bytes. The clock is virtual, all chance comes from
the seed, and so a run can be repeated exactly.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from sidecars.ambassador.admission import limited_admission  # noqa: F401 - before the clocks are set: it is imported late
from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import ReadinessLatch
from tests.simulation.apps import GOOD, App
from tests.simulation.clock import VirtualLoop, virtual_time
from tests.simulation.replicas import Pool, Replica

_TICK = 0.2  # seconds, as in the data path
_LOOK = 1.0  # seconds between two looks at the time-outs of exchanges

Rate = Callable[[float], float]


class Run:
    """One run. Make it with `simulation`."""

    def __init__(self, loop: VirtualLoop, seed: int, replicas: int, settings: dict[str, str]) -> None:
        self.loop = loop
        self._dice = random.Random(f"simulation {seed}")
        self.replicas = [Replica(loop, self._dice) for _ in range(replicas)]
        environ = {f"AMBASSADOR_{name}": value for name, value in settings.items()}
        of_upstream = load(Settings, {"AMBASSADOR_UPSTREAM": "http://orders", **environ}).upstreams["default"]
        self.upstream = upstream = Upstream(of_upstream, cast("Any", loop), ReadinessLatch("upstream", ""))
        upstream.pool = cast("Any", Pool(loop, self.replicas, upstream.balancer, of_upstream.connect_timeout))
        addresses = tuple(ResolvedAddress(f"10.0.0.{number}") for number in range(1, replicas + 1))
        upstream.on_dns_answer(upstream.dns_targets[0], DnsAnswer(addresses, 5.0), loop.now)
        self.apps: list[App] = []
        self.limits: list[tuple[float, int]] = []  # the limit of requests at each tick, if there is one
        self.began = loop.now
        self._look_at = loop.now

    @property
    def capacity(self) -> float:
        """The requests a second that all replicas can serve."""
        return sum(replica.workers / replica.seconds for replica in self.replicas)

    def add_app(self, rate: Rate, **more: Any) -> App:
        """Add a client; `rate` of the time since the beginning, in requests a second."""
        app = App(self.upstream, self.loop, self._dice, rate, **more)
        self.apps.append(app)
        return app

    def at(self, seconds: float, change: Callable[[], object]) -> None:
        """Change something at this time since the beginning."""
        self.loop.call_at(self.began + seconds, change)

    def go(self, seconds: float) -> None:
        """Let so much time pass."""
        for app in self.apps:
            app.start()
        self._tick()
        self.loop.run_until(self.began + seconds)

    def _tick(self) -> None:
        now, upstream = self.loop.now, self.upstream
        upstream.tick(now)
        if now >= self._look_at:
            self._look_at = now + _LOOK
            for app in self.apps:
                app.tick()
        if upstream.limits is not None:
            self.limits.append((now - self.began, upstream.limits.limit))
        self.loop.call_later(_TICK, self._tick)

    # -- results --------------------------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """The requests of all apps."""
        return sum(app.sent for app in self.apps)

    @property
    def attempts(self) -> int:
        """The attempts at all replicas, those included whose connection did not open."""
        return sum(endpoint.attempts for endpoint in self.upstream.endpoints)

    def good(self, begin: int, end: int) -> float:
        """Return the good responses a second in these seconds."""
        return sum(app.good_at[second] for app in self.apps for second in range(begin, end)) / (end - begin)

    def share(self, app: App) -> float:
        """Return the part of its requests that had a good response."""
        return app.results[GOOD] / max(1, app.sent)

    def recovered_after(self, end: int, wanted: float) -> int:
        """Return the seconds from this second on until a second has so many good responses; 999 if none has."""
        last = int(self.loop.now - self.began)
        return next((second - end for second in range(end, last) if self.good(second, second + 1) >= wanted), 999)


@contextlib.contextmanager
def simulation(seed: int = 1, replicas: int = 3, **settings: str) -> Iterator[Run]:
    """Return a run with so many replicas and these settings of the upstream, without their prefix."""
    with virtual_time(f"simulation {seed}") as loop:
        yield Run(loop, seed, replicas, settings)


def steps(*parts: tuple[float, float]) -> Rate:
    """Return a rate that changes: pairs of the time until which it holds, and the rate. It is 0 after the last one."""

    def rate(now: float) -> float:
        return next((value for until, value in parts if now < until), 0.0)

    return rate


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
