"""Hedges in the simulation: replicas with a long tail, a slow one, and all of them slow at once.

Each scenario is run with and without HEDGE_AFTER on the same seed. What is promised: the p99 falls, the added load
stays within the retry budget, and there is no storm when hedges can help nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sidecars.ambassador.proxy.beside import companions  # before the clocks are set: it is imported late
from tests.simulation.charts import Line, chart
from tests.simulation.run import Run, percentile, simulation, steps
from tests.simulation.scenarios import FIXED, NORMAL, Times
from tests.simulation.scenarios import OFF as NO_LIMIT

P95 = {"HEDGE_AFTER": "p95"}
OFF = {"HEDGE_AFTER": "off"}

_TAIL = 0.02  # of the requests
_TAIL_FACTOR = 25.0
_BIN = 4  # seconds of one point
_SHORT = 0.15  # seconds: a p99 that cannot become shorter, as in a run without any pause
_SAVED = 100.0  # retries that are saved at the beginning
_A_SECOND = 10.0  # that are earned besides those of RETRY_BUDGET
_BUDGET = 0.2  # RETRY_BUDGET


class _TailedDice(random.Random):
    """Chance for one replica of which a few requests take very long, as in a pause to collect garbage."""

    def lognormvariate(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        drawn = super().lognormvariate(mu, sigma)
        return drawn * _TAIL_FACTOR if self.random() < _TAIL else drawn


@contextmanager
def hedged(settings: dict[str, str], seed: int, replicas: int = 3) -> Iterator[Run]:
    """Return a run whose upstream has the companion that its settings ask for, as the data path gives it."""
    with simulation(seed, replicas, **settings) as run:
        companions.attach([run.upstream], run.loop.now)
        yield run


@contextmanager
def long_tail(settings: dict[str, str], times: Times, seed: int) -> Iterator[Run]:
    """Run replicas of which one request in fifty takes 25 times as long."""
    with hedged(settings, seed) as run:
        for number, replica in enumerate(run.replicas):
            replica._dice = _TailedDice(f"tail {seed} {number}")
        run.add_app(steps((times.total, 0.3 * run.capacity)), patience=5.0)
        run.go(times.total)
        yield run


@contextmanager
def slow_one(settings: dict[str, str], times: Times, seed: int) -> Iterator[Run]:
    """Run replicas of which one takes ten times as long for a while."""
    with hedged(settings, seed) as run:
        run.add_app(steps((times.total, 0.3 * run.capacity)), patience=5.0)
        slow = run.replicas[0]
        run.at(times.calm, lambda: setattr(slow, "seconds", 10 * slow.seconds))
        run.at(times.end, lambda: setattr(slow, "seconds", slow.seconds / 10))
        run.go(times.total)
        yield run


@contextmanager
def all_slow(settings: dict[str, str], times: Times, seed: int) -> Iterator[Run]:
    """Run replicas that all take five times as long for a while: they cannot serve what comes."""
    with hedged(settings, seed) as run:
        run.add_app(steps((times.total, NORMAL * run.capacity)))
        for replica in run.replicas:
            replica_seconds = replica.seconds
            run.at(times.calm, _set(replica, 5 * replica_seconds))
            run.at(times.end, _set(replica, replica_seconds))
        run.go(times.total)
        yield run


def _set(replica: object, seconds: float) -> Callable[[], None]:
    return lambda: setattr(replica, "seconds", seconds)


def p99(run: Run, times: Times) -> float:
    """Return the p99 of the responses behind the calm part, in which enough response times become known."""
    return percentile([seconds for at, seconds in run.apps[0].answered if at > times.calm], 0.99)


def _budget(run: Run, times: Times) -> float:
    """Return the number of retries and hedges that the budget allows at most."""
    return _SAVED + _A_SECOND * times.total + _BUDGET * run.sent


def promises(times: Times, seed: int) -> Iterator[str]:
    """Yield the promises of hedges that are broken."""
    for scenario, policy, factor, most in (
        (long_tail, "ewma", 1 / 2, 1.12),
        (long_tail, "round_robin", 1 / 2, 1.12),
        (slow_one, "ewma", 1.0, 1.09),  # the policy avoids it without hedges, too
        (slow_one, "least_request", 2 / 3, 1.15),
    ):
        name = f"{scenario.__name__}, {policy}, seed {seed}"
        with scenario({**OFF, "BALANCE": policy}, times, seed) as run:
            without = p99(run, times)
        with scenario({**P95, "BALANCE": policy}, times, seed) as run:
            if p99(run, times) > max(_SHORT, factor * without):
                yield f"{name}: the p99 is {p99(run, times):.3f} s; it is {without:.3f} s without hedges"
            if run.attempts > most * run.sent:
                yield f"{name}: {run.attempts} attempts for {run.sent} requests"
    for settings in (P95, {"HEDGE_AFTER": "100ms"}):
        name = f"a third of the requests is slow, {settings}, seed {seed}"
        with slow_one({**settings, "BALANCE": "round_robin"}, times, seed) as run:
            if run.attempts - run.sent > _budget(run, times):
                yield f"{name}: {run.attempts} attempts for {run.sent} requests are more than the budget allows"
            if run.share(run.apps[0]) < 0.98:
                yield f"{name}: {run.share(run.apps[0]):.1%} of the requests are good"
    yield from _storms(times, seed)


def _storms(times: Times, seed: int) -> Iterator[str]:
    """Yield the broken promises of replicas that are all slow: hedges could only make it worse."""
    for limits in (NO_LIMIT, FIXED):
        name = f"all are slow, {limits}, seed {seed}"
        with all_slow({**OFF, **limits}, times, seed) as run:
            good, back = run.share(run.apps[0]), run.recovered_after(times.end, 0.8 * NORMAL * run.capacity)
        with all_slow({**P95, **limits}, times, seed) as run:
            if run.attempts > 1.09 * run.sent:
                yield f"{name}: {run.attempts} attempts for {run.sent} requests"
            if run.share(run.apps[0]) < good - 0.03:
                yield f"{name}: {run.share(run.apps[0]):.1%} of the requests are good, and {good:.1%} without hedges"
            if run.recovered_after(times.end, 0.8 * NORMAL * run.capacity) > back + 1:
                yield f"{name}: it serves as before later than without hedges, which needs {back} s"


def draw(times: Times) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the plot of the docs: the tail of the latency beside a replica that is slow."""
    lines = []
    for name, settings in (("no hedges", OFF), ("HEDGE_AFTER=p95", P95)):
        with slow_one({**settings, "BALANCE": "least_request"}, times, 1) as run:
            found: dict[int, list[float]] = {}
            for when, seconds in run.apps[0].answered:
                found.setdefault(int(when) // _BIN, []).append(1000 * seconds)
        points = [(number * _BIN + _BIN / 2, percentile(each, 0.99)) for number, each in sorted(found.items())]
        lines.append(Line(name, points))
    zone = (float(times.calm), float(times.end), "one of three replicas takes ten times as long")
    yield "hedges-latency", chart("Latency with BALANCE=least_request", "99th percentile in ms", lines, zone=zone)
