"""What must hold at the end of each scenario: a list of broken promises, empty if all hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.simulation.run import Run
from tests.simulation.scenarios import (
    ADAPTIVE,
    BY_SHARE,
    FIXED,
    NORMAL,
    OFF,
    RATE,
    Times,
    dead_zone,
    deadlines,
    failing_replica,
    greedy_client,
    healthy,
    overload,
    partly_failing_replica,
    refusing,
    slow_replica,
)

MOST_ATTEMPTS = 1.2  # of the requests
RECOVERS_IN = 2  # seconds


def _attempts(run: Run, name: str) -> Iterator[str]:
    if run.attempts > MOST_ATTEMPTS * run.sent:
        yield f"{name}: {run.attempts} attempts for {run.sent} requests"


def _recovery(run: Run, times: Times, load: float, name: str) -> Iterator[str]:
    seconds = run.recovered_after(times.end, 0.8 * load * run.capacity)
    if seconds > RECOVERS_IN:
        yield f"{name}: {seconds} s until it serves as before"


def of_overload(times: Times, seed: int) -> Iterator[str]:
    """Check that each limit keeps the goodput near the capacity, and that all recover at once."""
    for settings, least in ((ADAPTIVE, 0.93), (FIXED, 0.93), (RATE, 0.85)):
        name = f"overload, {settings}, seed {seed}"
        with overload(settings, times, seed) as run:
            good = run.good(times.calm + 2, times.end) / run.capacity
            if good < least:
                yield f"{name}: the goodput is {good:.0%} of the capacity"
            yield from _attempts(run, name)
            yield from _recovery(run, times, NORMAL, name)
    with overload(OFF, times, seed) as run:
        good = run.good(times.calm + 5, times.end) / run.capacity
        if good > 0.1:
            yield f"overload without a limit, seed {seed}: the goodput is {good:.0%}, so this scenario proves nothing"


def of_refusals(times: Times, seed: int) -> Iterator[str]:
    """Check that retries of what a full upstream refuses make no storm, whatever RETRIES and the limit are."""
    for settings in (OFF, {"RETRIES": "10"}, ADAPTIVE):
        name = f"refusing replicas, {settings}, seed {seed}"
        with refusing(settings, times, seed) as run:
            yield from _attempts(run, name)
            yield from _recovery(run, times, NORMAL, name)
            good = run.good(times.calm + 2, times.end) / run.capacity
            if good < 0.93:
                yield f"{name}: the goodput is {good:.0%} of the capacity"


def of_deadlines(times: Times, seed: int) -> Iterator[str]:
    """Check that replicas which obey their deadlines recover at once: nothing is in their queues that nobody awaits.

    During the overload they may serve next to nothing in time: first in, first out, each is begun when little is left.
    """
    name = f"deadlines, seed {seed}"
    with deadlines(times, seed, obeyed=True) as run:
        yield from _attempts(run, name)
        yield from _recovery(run, times, NORMAL, name)


def of_fairness(times: Times, seed: int) -> Iterator[str]:
    """Check that a client that wants less than its share gets all, whatever another one sends."""
    for settings in (ADAPTIVE, FIXED):
        name = f"greedy client, {settings}, seed {seed}"
        with greedy_client(settings, times, seed) as (run, modest, _):
            if run.share(modest) < 0.98:
                yield f"{name}: the modest one gets {run.share(modest):.0%} of its requests"
            good = run.good(times.calm + 2, times.end) / run.capacity
            if good < 0.93:
                yield f"{name}: the goodput is {good:.0%} of the capacity"
            yield from _attempts(run, name)


def of_faults(times: Times, seed: int, among: Sequence[dict[str, str]] = (OFF, ADAPTIVE, FIXED)) -> Iterator[str]:
    """Check that a slow replica, a failing one and a dead zone cost next to nothing, with and without limits."""
    for settings in among:
        for scenario, least in ((slow_replica, 0.97), (failing_replica, 0.97), (dead_zone, 0.93)):
            name = f"{scenario.__name__}, {settings}, seed {seed}"
            with scenario(settings, times, seed=seed) as run:
                good = run.share(run.apps[0])
                if good < least:
                    yield f"{name}: {good:.1%} of the requests are good"
                yield from _attempts(run, name)
                yield from _recovery(run, times, 0.5, name)


def of_failure_rate(times: Times, seed: int) -> Iterator[str]:
    """Check that a replica which fails now and then is found by its share, and that healthy ones are left alone."""
    for share in (0.1, 0.3):
        name = f"a replica fails {share:.0%}, seed {seed}"
        with partly_failing_replica(BY_SHARE, times, share, seed) as run:
            bad, *others = run.replicas
            of_bad, of_others = bad.attempts, sum(each.attempts for each in others) / len(others)
            if of_bad > 0.8 * of_others:
                yield f"{name}: it gets {of_bad} attempts, each other one {of_others:.0f}"
            if any(endpoint.ejection.count for endpoint in run.upstream.endpoints[1:]):
                yield f"{name}: a healthy one was ejected"
    lowest = {**BY_SHARE, "EJECT_FAILURE_RATE": "1%", "EJECT_AFTER": "1000", "RETRIES": "0", "BALANCE": "round_robin"}
    for failing in (0.0, 0.05, 0.3):
        with healthy(lowest, times.total, replicas=4, failing=failing, load=0.6, seed=seed) as run:
            ejections = run.upstream.balancer.ejections
            if ejections:
                yield f"healthy ones that fail {failing:.0%} each, seed {seed}: {ejections} ejections"


def of_health(seconds: int, seed: int) -> Iterator[str]:
    """Check that limits refuse nothing while the upstream has room for all."""
    for settings in (ADAPTIVE, {**FIXED, **ADAPTIVE}):
        with healthy(settings, seconds, replicas=3, failing=0.0, load=0.7, seed=seed) as run:
            refused = run.apps[0].results[503] / run.sent
            if refused > 0.001:
                yield f"healthy, {settings}, seed {seed}: {refused:.2%} of the requests are refused"
