"""The frame of a benchmark beside peers: its options, the programs that it needs, and what it prints."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from benchmarks.figures import Comparison


def options(documentation: str | None, *, seconds: float, of: str) -> argparse.Namespace:
    """Return the options of a benchmark beside the peers; `of` says which measurements last so many seconds."""
    parser = argparse.ArgumentParser(description=(documentation or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of {of}")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the ambassador")
    return parser.parse_args()


def lacking(*programs: str) -> str:
    """Return the names of the programs that are missing, or of the second core; "" if all is there."""
    needed = [name for name in programs if not shutil.which(name)]
    return ", ".join(needed) or ("" if (os.cpu_count() or 1) >= 2 else "a second core")


def show(comparisons: Sequence[Comparison], missing: Sequence[str]) -> None:
    """Print what was compared, and which peers are missing."""
    for comparison in comparisons:
        line = ", ".join(f"{name} {value:.3g}" for name, value in comparison.values.items())
        print(f"{comparison.name}, {comparison.unit}: {line}")
    for name in missing:
        print(f"missing: {name} is not installed here, so it is not compared")
