"""Reads the local times of a file of each time zone through a pipeline, and counts those that are wrong.

    python -m tests.logshipper.zones            every zone of the IANA database: some minutes
    python -m tests.logshipper.zones Asia/Gaza  one of them

A file has an event for each hour of the years 2025 to 2027, and for every five minutes in the hours before and after
the clock is set. It is read in chunks, as a live file and as an old one.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import START
from sidecars.logshipper.model.times.event_times import CONTEXT, FileTimes
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.pipelines import settings

HOUR = 3600
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2025, 2028))


def instants(zone: ZoneInfo, first: int = FIRST, last: int = LAST) -> list[int]:
    """Return the instants of the events, in seconds."""
    found = set(range(first, last, HOUR))
    for one, other in pairwise(range(first, last, HOUR)):
        if _offset(zone, one) != _offset(zone, other):
            found.update(range(one - 3 * HOUR, other + 3 * HOUR, 300))
    return sorted(found)


def _offset(zone: ZoneInfo, instant: int) -> timedelta | None:
    return datetime.fromtimestamp(instant, zone).utcoffset()


def wrong_times(name: str, events: list[int], *, live: bool, seed: int = 0) -> list[tuple[int, int | None]]:
    """Return the events whose times are wrong, with the time in nanoseconds that they got.

    `live`: each chunk is read a second after its last event. Otherwise the whole file is read a year after its end.
    """
    zone, rng = ZoneInfo(name), random.Random(seed)
    pipeline = Pipeline(settings(FORMAT="json", TIME_KEY="t", TIME_ZONE=name).inputs["default"], {})
    lines = [f'{{"t":"{datetime.fromtimestamp(event, zone):%Y-%m-%d %H:%M:%S}","n":1}}\n'.encode() for event in events]
    size = sum(map(len, lines))
    file = FileTimes() if live else FileTimes(size, events[-1] * 10**9)
    wrong: list[tuple[int, int | None]] = []
    at, before, index = 0, b"", 0
    while index < len(events):
        count = rng.choice((1, 2, 7, 300))
        data, these = b"".join(lines[index : index + count]), events[index : index + count]
        now = (these[-1] + 1 if live else events[-1] + 365 * 24 * HOUR) * 10**9
        chunk = Chunk("f00d", "/logs/a", at, at, data, START, times=file, before=before)
        times = pipeline.process(chunk, now).times or []
        wrong += [(event, time) for event, time in zip(these, times, strict=True) if time != event * 10**9]
        at, before, index = at + len(data), (before + data)[-CONTEXT:], index + count
    return wrong


def different_zones() -> list[str]:
    """Return one name of each zone of the IANA database: others are aliases, with the same data."""
    data = resources.files("tzdata")
    every = data.joinpath("zones").read_text().split()
    return sorted({data.joinpath("zoneinfo", name).read_bytes(): name for name in sorted(every, reverse=True)}.values())


def main(*names: str) -> int:
    count = 0
    chosen = names or different_zones()
    for name in chosen:
        events = instants(ZoneInfo(name))
        for live in (True, False):
            wrong = wrong_times(name, events, live=live)
            count += len(wrong)
            for event, time in wrong[:3]:
                sys.stdout.write(f"{name}: {datetime.fromtimestamp(event, UTC)} became {time}\n")
    sys.stdout.write(f"{len(chosen)} zones with different data: {count} wrong times\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
