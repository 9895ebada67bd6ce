"""The table of docs/explanation/overload.md: each limit in three times the load, over several seeds.

Each cell is the median, with the least and the greatest value behind it if they differ.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from tests.simulation.run import Run, percentile
from tests.simulation.scenarios import ADAPTIVE, FIXED, NORMAL, OFF, RATE, Times, overload

_NEVER = 999  # seconds until a run has recovered that never does
_ROWS = (
    ("none", OFF),
    ("`ADAPTIVE_CONCURRENCY=on`", ADAPTIVE),
    ("`MAX_REQUESTS=24`", FIXED),
    ("`RATE_LIMIT=270/s`", RATE),
)


def _goodput(run: Run, times: Times) -> float:
    """Return the good responses in the overload, in percent of the capacity."""
    return 100.0 * run.good(times.calm + 5, times.end) / run.capacity


def _p99(run: Run, times: Times) -> float:
    """Return the 99th percentile of the latency of what was served in the overload, in seconds; 0 if nothing was."""
    if _goodput(run, times) < 1.0:
        return 0.0
    during = [seconds for at, seconds in run.apps[0].answered if times.calm + 5 <= at < times.end and seconds > 0.0]
    return percentile(during, 0.99)


def _recovery(run: Run, times: Times) -> float:
    return run.recovered_after(times.end, 0.8 * NORMAL * run.capacity)


_FIGURES: tuple[Callable[[Run, Times], float], ...] = (_goodput, _p99, _recovery)


def _percent(value: float) -> str:
    return f"{value:.0f} %"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value else "-"


def _whole_seconds(value: float) -> str:
    return "never" if value >= _NEVER else f"{value + 1:.0f} s"  # 0: in the first second behind the overload


_FORMS = (_percent, _seconds, _whole_seconds)


def cell(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Return the median of these values, and their range if it says more."""
    median, least, most = form(statistics.median(values)), form(min(values)), form(max(values))
    return median if least == most else f"{median} ({least} to {most})"


def lines(times: Times, seeds: Sequence[int]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| limit, {len(seeds)} seeds | goodput in the minute | 99th percentile | recovers in |"
    yield "|---|---|---|---|"
    for name, settings in _ROWS:
        columns: list[list[float]] = [[] for _ in _FIGURES]
        for seed in seeds:
            with overload(settings, times, seed) as run:
                for column, figure in zip(columns, _FIGURES, strict=True):
                    column.append(figure(run, times))
        cells = [cell(column, form) for column, form in zip(columns, _FORMS, strict=True)]
        yield f"| {name} | {' | '.join(cells)} |"
