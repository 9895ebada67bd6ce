"""What SAMPLE, RATE_LIMIT, COUNT and PATH_FIELDS cost for each event: `python -m benchmarks.reduction [events]`.

CPU time of the pipeline alone, in this process, over JSON lines of about 200 bytes in chunks of 64 KiB: without any of
them, and with each. A figure is the difference, in microseconds an event, and the least of ROUNDS counts: the cases
take turns. Of SAMPLE=2 it is the difference to half of the time, since the other half is not shipped.

FAIR_BY costs nothing for an event: the turns are those of files (`delivery.turns`), which `python -m
benchmarks.node_agent` measures.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import replace

from benchmarks.figures import Figure, conclude
from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.transform.pipeline import Pipeline
from sidecars.logshipper.transform.reduction.sink_limits import SinkLimits

EVENTS, ROUNDS, CHUNK = 50_000, 7, 64 * 1024  # events, rounds, bytes
FOLDER = "/var/log/pods/shop_web-7d4b9_0a1b/app"
CASES: dict[str, tuple[dict[str, str], float]] = {  # settings, and the limit in microseconds an event
    "SAMPLE=2": ({"SAMPLE": "2"}, 3.0),
    "SAMPLE=2, SAMPLE_KEY": ({"SAMPLE": "2", "SAMPLE_KEY": "trace_id"}, 6.0),
    "RATE_LIMIT, one key, drop, none dropped": ({"RATE_LIMIT": "1000000/s", "RATE_EXCESS": "drop"}, 4.0),
    "RATE_LIMIT by a field, drop, none dropped": (
        {"RATE_LIMIT": "1000000/s", "RATE_EXCESS": "drop", "RATE_LIMIT_KEY": "tenant"},
        4.0,
    ),
    "COUNT, a rare match": ({"COUNT": r"errors=/\bFATAL\b/"}, 3.0),
    "COUNT, three counters, one with a label of each event": (
        {"COUNT": r"errors=/\bERROR\b/,slow=/slow/,answers=/status\":(?P<status>[1-5]\d\d)/"},
        15.0,
    ),
    "PATH_FIELDS": ({"PATH_FIELDS": "kubernetes"}, 0.5),
}


def lines(count: int) -> bytes:
    chance = random.Random(1)
    made = (
        {
            "level": chance.choice(["INFO", "INFO", "INFO", "ERROR"]),
            "msg": f"request {number} of the shop was answered",
            "status": chance.choice([200, 200, 201, 404, 500]),
            "tenant": f"t{chance.randrange(50)}",
            "trace_id": f"{chance.getrandbits(128):032x}",
            "path": "/" + "x" * chance.randrange(60),
        }
        for number in range(count)
    )
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in made)


def chunks(data: bytes) -> list[Chunk]:
    found, start = [], 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + CHUNK) + 1
        part, position = data[start:end], position_fingerprint(end, data[:end])
        found.append(Chunk("f00d", f"{FOLDER}/0.log", start, start, part, position))
        start = end
    return found


def cpu_seconds(settings: dict[str, str], of: list[Chunk]) -> float:
    """Return the CPU time in which a new pipeline makes records of all chunks."""
    environ = {f"LOGSHIPPER_{name}": value for name, value in settings.items()}
    paths = {"LOGSHIPPER_PATHS": f"{FOLDER}/*.log", "LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_SINK": "http://h/"}
    pipeline = Pipeline(load(Settings, {**paths, **environ}).inputs["default"], {"pod": "shop-1"})
    limits = SinkLimits({"default": pipeline}, None, time.monotonic)
    began = time.process_time()
    for chunk in of:
        pipeline.process(replace(chunk, input="default"), 1, limits.decide if limits else None)
    return time.process_time() - began


def main() -> int:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    of = chunks(lines(events))
    cases = {"without": ({}, 0.0), **CASES}
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS):
        for name, (settings, _) in cases.items():
            least[name] = min(least[name], cpu_seconds(settings, of))
    print(f"{events} events in {len(of)} chunks; without any of them {least['without'] * 1e6 / events:.2f} µs an event")
    return conclude(
        "reduction",
        [
            Figure(name, (least[name] - least["without"] / int(settings.get("SAMPLE", 1))) * 1e6 / events, limit, "µs")
            for name, (settings, limit) in CASES.items()
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
