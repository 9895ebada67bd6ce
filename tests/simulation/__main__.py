"""Run the simulation: `python -m tests.simulation [--seeds N] [--plots]`. Exit code 1 if a promise breaks.

Each scenario lasts as long as its promise says: three times the load for 60 s. `--plots` draws the plots of
docs/explanation/overload.md, too. The table of that page is printed over all seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from tests.simulation import hedges, plots, promises, table
from tests.simulation.scenarios import Times
from tests.support import ROOT

_cpu = time.process_time
_PICTURES = ROOT / "docs" / "pictures"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _broken(seed: int) -> Iterator[str]:
    times = Times()
    yield from promises.of_overload(times, seed)
    yield from promises.of_refusals(times, seed)
    yield from promises.of_deadlines(times, seed)
    yield from promises.of_fairness(times, seed)
    yield from promises.of_faults(times, seed)
    yield from promises.of_failure_rate(times, seed)
    yield from promises.of_health(60, seed)
    yield from hedges.promises(Times(calm=10, long=30, after=20), seed)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="run so many seeds of each scenario (3)")
    parser.add_argument("--plots", action="store_true", help="draw the plots of the docs")
    chosen = parser.parse_args()
    if chosen.plots:
        for name, text in (*plots.draw(), *hedges.draw(Times())):
            (_PICTURES / f"{name}.svg").write_text(text)
    for line in table.lines(Times(), range(1, chosen.seeds + 1)):
        _say(line)
    broken = 0
    for seed in range(1, chosen.seeds + 1):
        began = _cpu()
        for sentence in _broken(seed):
            broken += 1
            _say(f"BROKEN: {sentence}")
        _say(f"seed {seed}: {_cpu() - began:.0f} s of CPU")
    _say("a promise broke" if broken else "every promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
