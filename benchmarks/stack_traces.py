"""What MULTILINE costs beyond plain lines: `python -m benchmarks.stack_traces [megabytes [pairs [kind [log]]]]`.

The same file is shipped with `MULTILINE=none` and with the kind (`java`), by turns, so that each pair runs in the same
seconds. The file has Java log lines with a stack trace after one of 100 (`traces`), or none at all (`java`). CPU time
is that of the process, with its start. The ratio of the least times is the cost where nothing else runs; the median of
the pairs' ratios is what a busy machine shows. `CODE` names a folder with the `sidecars` of another version to measure.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import logshipper
from benchmarks.collectors import receiving
from benchmarks.figures import Figure, conclude
from benchmarks.javalogs import write_log
from benchmarks.logshipper import Case, ship
from benchmarks.starts import ROOT, compile_code

LIMIT = 1.1  # times plain


def measure(folder: Path, size: int, pairs: int, kind: str, log: str) -> list[Figure]:
    path = folder / f"{log}.log"
    write_log(path, size, log)
    cases = [Case("plain", log=log), Case(kind, log=log, settings={"MULTILINE": kind})]
    found: dict[str, list[float]] = {case.name: [] for case in cases}
    with receiving(folder) as port:
        for number in range(pairs + 1):  # the first pair warms the caches
            for case in cases if number % 2 else cases[::-1]:
                cpu, _ = ship(case, path, port)
                found[case.name].append(cpu)
            print(
                f"pair {number}: " + ", ".join(f"{name} {times[-1]:.2f} s" for name, times in found.items()), flush=True
            )
    plain, joined = (found[case.name][1:] for case in cases)
    least, median = min(joined) / min(plain), statistics.median(b / a for a, b in zip(plain, joined, strict=True))
    note = f"{size / 1e6 / min(joined):.0f} MB per CPU second; median of {pairs} pairs {median:.3f}"
    return [Figure(f"MULTILINE={kind}, of plain lines", least, LIMIT, note=note)]


def main(megabytes: str = "200", pairs: str = "5", kind: str = "java", log: str = "traces") -> int:
    code = (ROOT / os.environ.get("CODE", ".")).resolve()
    if not (code / "sidecars" / "logshipper").is_dir():
        sys.exit(f"CODE: {code} has no folder sidecars/logshipper: name a checkout, or what `make compiled` has made")
    logshipper.ROOT = code
    compile_code(ROOT)
    with tempfile.TemporaryDirectory() as name:
        return conclude("stack_traces", measure(Path(name), int(megabytes) * 10**6, int(pairs), kind, log))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
