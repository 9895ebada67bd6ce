"""The scenarios of an overload and of faults: each is one run, with what is promised at its end.

Times are seconds since the beginning. `calm` seconds come before the trouble, `long` is how long it lasts, and `after`
seconds follow. The load is a part of the capacity of all replicas, which is 100 requests a second each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.apps import App
from tests.simulation.run import Run, simulation, steps

NORMAL = 0.6  # of the capacity
OVERLOAD = 3.0

OFF: dict[str, str] = {}
ADAPTIVE = {"ADAPTIVE_CONCURRENCY": "on"}
FIXED = {"MAX_REQUESTS": "24"}
BY_SHARE = {"EJECT_FAILURE_RATE": "10%"}
RATE = {"RATE_LIMIT": "270/s", "RATE_BURST": "30"}


@dataclass(frozen=True)
class Times:
    """How long the parts of a run last, in seconds."""

    calm: int = 10
    long: int = 60
    after: int = 20

    @property
    def end(self) -> int:
        """The time at which the trouble ends."""
        return self.calm + self.long

    @property
    def total(self) -> int:
        return self.end + self.after


@contextmanager
def overload(settings: dict[str, str], times: Times, seed: int = 1, patience: float = 1.0) -> Iterator[Run]:
    """Run three replicas that get three times what they can serve."""
    with simulation(seed, 3, **settings) as run:
        capacity = run.capacity
        run.add_app(
            steps((times.calm, NORMAL * capacity), (times.end, OVERLOAD * capacity), (times.total, NORMAL * capacity)),
            patience=patience,
        )
        run.go(times.total)
        yield run


@contextmanager
def refusing(settings: dict[str, str], times: Times, seed: int = 1) -> Iterator[Run]:
    """Run an overload of replicas that refuse what they have no room for: each refusal may be retried."""
    with simulation(seed, 3, **settings) as run:
        for replica in run.replicas:
            replica.most_queued = 8
        capacity = run.capacity
        run.add_app(
            steps((times.calm, NORMAL * capacity), (times.end, OVERLOAD * capacity), (times.total, NORMAL * capacity))
        )
        run.go(times.total)
        yield run


@contextmanager
def deadlines(times: Times, seed: int = 1, *, obeyed: bool) -> Iterator[Run]:
    """Run an overload without a limit; the replicas drop a request whose deadline has passed, if it is `obeyed`."""
    with simulation(seed, 3, DEADLINE_HEADER="X-Timeout-Ms") as run:
        for replica in run.replicas:
            replica.obeys_deadlines = obeyed
        capacity = run.capacity
        run.add_app(
            steps((times.calm, NORMAL * capacity), (times.end, OVERLOAD * capacity), (times.total, NORMAL * capacity)),
            head=b"GET / HTTP/1.1\r\nHost: orders\r\nX-Timeout-Ms: 1000",
        )
        run.go(times.total)
        yield run


@contextmanager
def greedy_client(settings: dict[str, str], times: Times, seed: int = 1) -> Iterator[tuple[Run, App, App]]:
    """Run an overload that one client makes, beside another one that sends a fifth of the capacity all the time."""
    with simulation(seed, 3, **settings) as run:
        capacity = run.capacity
        modest = run.add_app(steps((times.total, 0.2 * capacity)))
        greedy = run.add_app(
            steps((times.calm, 0.2 * capacity), (times.end, 2.8 * capacity), (times.total, 0.2 * capacity))
        )
        run.go(times.total)
        yield run, modest, greedy


@contextmanager
def slow_replica(settings: dict[str, str], times: Times, seed: int = 1) -> Iterator[Run]:
    """Run three replicas of which one takes ten times as long for a while."""
    with simulation(seed, 3, **settings) as run:
        run.add_app(steps((times.total, 0.5 * run.capacity)))
        slow = run.replicas[0]
        run.at(times.calm, lambda: setattr(slow, "seconds", 10 * slow.seconds))
        run.at(times.end, lambda: setattr(slow, "seconds", slow.seconds / 10))
        run.go(times.total)
        yield run


@contextmanager
def failing_replica(settings: dict[str, str], times: Times, share: float = 0.5, seed: int = 1) -> Iterator[Run]:
    """Run three replicas of which one fails a share of its requests for a while."""
    with simulation(seed, 3, **settings) as run:
        run.add_app(steps((times.total, 0.5 * run.capacity)))
        bad = run.replicas[0]
        run.at(times.calm, lambda: setattr(bad, "failing", share))
        run.at(times.end, lambda: setattr(bad, "failing", 0.0))
        run.go(times.total)
        yield run


@contextmanager
def partly_failing_replica(settings: dict[str, str], times: Times, share: float = 0.3, seed: int = 1) -> Iterator[Run]:
    """Run three replicas, in turn and without retries, of which one fails a share of its requests for a while."""
    with failing_replica({"BALANCE": "round_robin", "RETRIES": "0", **settings}, times, share, seed) as run:
        yield run


@contextmanager
def dead_zone(settings: dict[str, str], times: Times, seed: int = 1) -> Iterator[Run]:
    """Run six replicas of which two, one zone of three, answer nothing for a while."""
    with simulation(seed, 6, **settings) as run:
        run.add_app(steps((times.total, 0.5 * run.capacity)))
        for replica in run.replicas[:2]:
            run.at(times.calm, replica.die)
            run.at(times.end, replica.return_empty)
        run.go(times.total)
        yield run


@contextmanager
def healthy(
    settings: dict[str, str], seconds: int, *, replicas: int, failing: float, load: float, seed: int
) -> Iterator[Run]:
    """Run replicas that all fail the same share of their requests."""
    with simulation(seed, replicas, **settings) as run:
        for replica in run.replicas:
            replica.failing = failing
        run.add_app(steps((seconds, load * run.capacity)))
        run.go(seconds)
        yield run
