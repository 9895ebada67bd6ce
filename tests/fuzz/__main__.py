"""Fuzz each target in a process of its own, one process a core."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha1
from pathlib import Path

from tests.fuzz.coverage import steps_of
from tests.fuzz.registry import Target, targets

_STALL = 20  # seconds for one input, after which it is a crash
_MEMORY = 1024  # MiB of one process, after which it is a crash
_SHOWN = 25  # lines of a crash
_CRASHES = Path("build") / "fuzz"


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="time for each target (30)")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer's random numbers; 0 is a new one")
    parser.add_argument("--grow", action="store_true", help="add the inputs that reached new code to the corpora")
    parser.add_argument("--input", type=Path, help="give this file to the one target that is named, without atheris")
    parser.add_argument("targets", nargs="*", help="all, unless some are named")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: no such target; there are {', '.join(known)}")
    wanted = [known[name] for name in options.targets or known]
    if options.input:
        if len(wanted) != 1:
            parser.error("--input needs the name of one target")
        wanted[0].check(options.input.read_bytes())
        print("the target held")
        return 0
    _CRASHES.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        held = list(pool.map(lambda each: _fuzz(each, options.seconds, options.seed, grow=options.grow), wanted))
    print(f"{sum(held)} of {len(wanted)} targets held for {options.seconds} s each")
    return not all(held)


def _fuzz(one: Target, seconds: int, seed: int, *, grow: bool) -> bool:
    """Fuzz one target. Return False if an input broke it; that input is kept, and the way to repeat it is printed."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{one.name}-") as folder:
        found, corpus = Path(folder, "found"), Path(folder, "corpus")
        found.mkdir()
        _write(corpus, one.corpus())
        limits = (f"-max_total_time={seconds}", f"-timeout={_STALL}", f"-rss_limit_mb={_MEMORY}", f"-seed={seed}")
        done = _run(one, *limits, f"-artifact_prefix={_CRASHES}/{one.name}-", str(found), str(corpus))
        said = done.stderr.splitlines()
        if done.returncode:
            print(f"== {one.name}: an input broke it", *done.stdout.splitlines()[-_SHOWN:], *said[-5:], sep="\n")
            print(f"== repeat it: python -m tests.fuzz {one.name} --input {_CRASHES}/{one.name}-…")
            return False
        runs = next((line.split()[-1] for line in said if line.startswith("stat::number_of_executed_units")), "?")
        print(f"{one.name}: held, {runs} inputs", flush=True)
        if grow:
            _grow(one, [path.read_bytes() for path in found.iterdir()])
    return True


def _grow(one: Target, found: Iterable[bytes]) -> None:
    """Add to the corpus the inputs that make a new step in the code, the shortest first."""
    corpus = one.corpus()
    seen = steps_of(lambda: one.check_all(corpus), one.modules)
    for data in sorted(found, key=len):
        steps = steps_of(partial(one.check, data), one.modules)
        if not steps <= seen:
            seen |= steps
            corpus.append(data)
    print(f"{one.name}: the corpus has {one.save_corpus(corpus)} inputs", flush=True)


def _write(folder: Path, inputs: Iterable[bytes]) -> None:
    folder.mkdir()
    for each in inputs:
        (folder / sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)


def _run(one: Target, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.one", one.part, one.name, str(one.longest), "-print_final_stats=1"]
    return subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", check=False)


if __name__ == "__main__":
    sys.exit(main())
