"""Cost of TIME_ZONE beside UTC: `python -m benchmarks.time_zones [events]`.

CPU time of the pipeline alone, in this process, over JSON lines of about 160 bytes in chunks of 64 KiB. Their times
have no zone (`2026-06-01 10:15:30,123`), and 200 events are of the same second. UTC and a zone take turns. A figure is
the median of the ratios of ROUNDS turns. UTC beside itself shows the noise of the machine.

The last case is the rare one: each event is in the hour that comes twice, so that each time has two instants.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta

from benchmarks.figures import Figure, conclude
from benchmarks.reduction import chunks
from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.transform.pipeline import Pipeline

EVENTS, ROUNDS, A_SECOND = 50_000, 15, 200  # events, turns, events of a second
SUMMER = datetime(2026, 6, 1, 10)  # noqa: DTZ001 - a local time
AFTER, OVERLAP = datetime(2026, 10, 25, 4), datetime(2026, 10, 25, 2)  # noqa: DTZ001 - local times
CASES = {  # name: zone, first local time, limit beside UTC
    "UTC, beside itself": ("UTC", SUMMER, 1.05),
    "+02:00": ("+02:00", SUMMER, 1.05),
    "Europe/Berlin": ("Europe/Berlin", SUMMER, 1.05),
    "America/New_York": ("America/New_York", SUMMER, 1.05),
    "Australia/Lord_Howe": ("Australia/Lord_Howe", SUMMER, 1.05),
    "Europe/Berlin, an hour after the clock was set back": ("Europe/Berlin", AFTER, 1.05),
    "Europe/Berlin, in the hour that comes twice": ("Europe/Berlin", OVERLAP, 3.0),
}


def lines(count: int, first: datetime) -> bytes:
    events = (
        {
            "time": f"{first + timedelta(seconds=number // A_SECOND):%Y-%m-%d %H:%M:%S},{number % A_SECOND * 5:03}",
            "level": "INFO",
            "msg": f"request {number} of the shop was answered, as so many before it",
            "status": 200,
        }
        for number in range(count)
    )
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in events)


def cpu_seconds(zone: str, of: list[Chunk], collected: int) -> float:
    """Return the CPU time in which a new pipeline makes records of all chunks. `collected`: nanoseconds since 1970."""
    environ = {"PATHS": "/logs/*.log", "SINK": "http://h/", "FORMAT": "json", "TIME_KEY": "time", "TIME_ZONE": zone}
    settings = load(Settings, {f"LOGSHIPPER_{name}": value for name, value in environ.items()})
    pipeline = Pipeline(settings.inputs["default"], {"pod": "shop-1"})
    began = time.process_time()
    for chunk in of:
        assert pipeline.process(replace(chunk, input="default"), collected).times
    return time.process_time() - began


def main() -> int:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    logs = {first: chunks(lines(events, first)) for first in (SUMMER, AFTER, OVERLAP)}
    collected = {first: int(first.timestamp() + 86400) * 10**9 for first in logs}
    ratios: dict[str, list[float]] = {name: [] for name in CASES}
    least = float("inf")
    for _ in range(ROUNDS):
        for name, (zone, first, _) in CASES.items():
            utc = cpu_seconds("UTC", logs[first], collected[first])
            ratios[name].append(cpu_seconds(zone, logs[first], collected[first]) / utc)
            least = min(least, utc)
    print(f"{events} events in {len(logs[SUMMER])} chunks; with UTC {least * 1e6 / events:.2f} µs an event")
    return conclude(
        "time_zones",
        [
            Figure(name, statistics.median(ratios[name]), limit, "x", note="CPU time beside UTC")
            for name, (_, _, limit) in CASES.items()
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
