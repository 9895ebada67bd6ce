"""Run the world: `python -m tests.world --seeds 0-99`, or one seed with its record: `--seed 42 --world ambassador`.

Exit code 0: every promise held; 1: a seed broke one, and the last lines say which, and how to see it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback

from tests.world import names

# Bound before the world replaces them.
_clock, _cpu = time.monotonic, time.process_time


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":  # it can be set only at the start of a process
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.world", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    from tests.world import runs  # noqa: PLC0415 - it replaces the clocks of this process

    parser = argparse.ArgumentParser(
        prog="python -m tests.world", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", choices=names.WORLDS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, help="one seed, with its record")
    parser.add_argument("--seeds", default="0-99", metavar="A-B", help="the seeds of a long run")
    parser.add_argument("--mutant", choices=names.FAULTS, help="a fault to be put into the code first")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare the digests")
    chosen = parser.parse_args()
    worlds = chosen.world or list(names.WORLDS)
    if chosen.mutant:
        worlds = [names.FAULTS[chosen.mutant]]
        runs.break_by(chosen.mutant)
    if chosen.seed is not None:
        return _replay(worlds, chosen.seed)
    first, _, last = chosen.seeds.partition("-")
    return _long_run(worlds, range(int(first), int(last or first) + 1), twice=chosen.twice)


def _replay(worlds: list[str], seed: int) -> int:
    from tests.world import runs  # noqa: PLC0415 - it replaces the clocks

    code = 0
    for name in worlds:
        _say(f"== {name}, seed {seed}")
        result = runs.run(name, seed, _say)
        _say(f"digest {result.digest}, {result.events} events, {result.seconds:.1f} virtual seconds")
        if result.error is not None:
            traceback.print_exception(result.error)
            code = 1
    return code


def _long_run(worlds: list[str], seeds: range, *, twice: bool) -> int:
    from tests.world import runs  # noqa: PLC0415 - it replaces the clocks

    began, cpu, virtual, events = _clock(), _cpu(), 0.0, 0
    for seed in seeds:
        for name in worlds:
            result = runs.run(name, seed)
            virtual, events = virtual + result.seconds, events + result.events
            if result.error is None and twice:
                again = runs.run(name, seed)
                if again.digest != result.digest:
                    _say(f"{name}, seed {seed}: two runs differ: {result.digest} {again.digest}")
                    return 1
            if result.error is not None:
                traceback.print_exception(result.error)
                _say(f"BROKEN by seed {seed}: {type(result.error).__name__}: {result.error}")
                _say(f"see it again: python -m tests.world --world {name} --seed {seed}")
                return 1
    _say(
        f"{len(seeds)} seeds of {', '.join(worlds)}: every promise held; {virtual:,.0f} virtual seconds, "
        f"{events:,} events, {_cpu() - cpu:.1f} s of CPU, {_clock() - began:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
