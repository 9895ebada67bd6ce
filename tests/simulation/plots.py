"""The plots of the docs: what the scenarios look like, each as one SVG."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.apps import App
from tests.simulation.charts import Line, chart
from tests.simulation.run import Run, percentile
from tests.simulation.scenarios import (
    ADAPTIVE,
    BY_SHARE,
    FIXED,
    OFF,
    OVERLOAD,
    RATE,
    Times,
    deadlines,
    greedy_client,
    overload,
    partly_failing_replica,
)

_TIMES = Times()
_ZONE = (float(_TIMES.calm), float(_TIMES.end))
_BIN = 2  # seconds of one point


def _good(run: Run) -> list[tuple[float, float]]:
    return [(second + _BIN / 2, run.good(second, second + _BIN)) for second in range(0, _TIMES.total, _BIN)]


def _share(app: App) -> list[tuple[float, float]]:
    """Return the good responses as a percentage of the requests."""
    points = []
    for begin in range(0, _TIMES.total, _BIN):
        seconds = range(begin, begin + _BIN)
        sent, good = (sum(of[second] for second in seconds) for of in (app.sent_at, app.served_of))
        points.append((begin + _BIN / 2, 100.0 * min(1.0, good / max(1, sent))))
    return points


def _latency(run: Run) -> list[tuple[float, float]]:
    """Return the 99th percentile of the good responses in milliseconds."""
    found: dict[int, list[float]] = {}
    for when, seconds in run.apps[0].answered:
        if seconds > 0.0:  # a refusal takes no time
            found.setdefault(int(when) // _BIN, []).append(seconds)
    return [(number * _BIN + _BIN / 2, 1000 * percentile(values, 0.99)) for number, values in sorted(found.items())]


def _failures(run: Run) -> list[tuple[float, float]]:
    """Return the responses of 503 as a percentage of the requests, by five seconds."""
    app, every = run.apps[0], 5
    points = []
    for begin in range(0, _TIMES.total, every):
        seconds = range(begin, begin + every)
        sent = sum(app.sent_at[second] for second in seconds)
        points.append((begin + every / 2, 100.0 * sum(app.failed_at[second] for second in seconds) / max(1, sent)))
    return points


def draw() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each plot."""
    goodput, latency, limits = [], [], []
    for name, settings in (
        ("no limit", OFF),
        ("ADAPTIVE_CONCURRENCY=on", ADAPTIVE),
        ("MAX_REQUESTS=24", FIXED),
        ("RATE_LIMIT=270/s", RATE),
    ):
        with overload(settings, _TIMES) as run:
            goodput.append(Line(name, _good(run)))
            latency.append(Line(name, _latency(run)))
            if settings is ADAPTIVE:
                limits = run.limits[::5]
            capacity = run.capacity
    with deadlines(_TIMES, obeyed=True) as run:
        goodput.append(Line("DEADLINE_HEADER, which the replicas obey", _good(run)))
    zone = (*_ZONE, f"{OVERLOAD:g} times the capacity ({OVERLOAD * capacity:.0f} requests/s)")
    level = Line("the capacity", [(0.0, capacity), (float(_TIMES.total), capacity)], is_dashed=True)
    yield "overload-goodput", chart("Responses in time", "good responses a second", [*goodput, level], zone=zone)
    yield "overload-latency", chart("Latency of what is served", "99th percentile in ms", latency, zone=zone)
    yield (
        "overload-limit",
        chart(
            "The adaptive limit",
            "requests at once",
            [Line("limit", [(at, float(one)) for at, one in limits])],
            zone=zone,
        ),
    )
    shares = []
    for name, settings in (("no limit", OFF), ("ADAPTIVE_CONCURRENCY=on", ADAPTIVE)):
        with greedy_client(settings, _TIMES) as (_, modest, greedy):
            shares += [Line(f"modest client, {name}", _share(modest)), Line(f"greedy client, {name}", _share(greedy))]
    zone = (*_ZONE, "the greedy client sends 2.8 times the capacity")
    yield (
        "overload-fairness",
        chart("Requests with a response in time", "% of the client's requests", shares, zone=zone),
    )
    failures = []
    for name, settings in (("failures in a row alone", OFF), ("EJECT_FAILURE_RATE=10%", BY_SHARE)):
        with partly_failing_replica(settings, _TIMES) as run:
            failures.append(Line(name, _failures(run)))
    zone = (*_ZONE, "one of three replicas fails 30 %")
    yield (
        "overload-ejection",
        chart("Failures that the app sees, without retries", "% of the requests", failures, zone=zone),
    )
