"""Run lives and print what came of them: `python -m tests.hostile [name of a life or sidecar] …`.

All layers are run with `HOSTILE=all`, which `make hostile` sets for its tests. Exit code 1 if anything got out.
"""

from __future__ import annotations

import re
import sys

from tests.hostile.attack import chosen
from tests.hostile.runs import Report, run
from tests.hostile.table import LIVES

SHOWN = 6  # kinds of escapes of a run


def faults(report: Report, ends: frozenset[int]) -> list[str]:
    found = [f"exit code {report.code}: {report.stderr[-700:]}"] if report.code not in ends else []
    found += [f"not done: {line}" for line in report.undone[:3]]
    found += [f"changed outside by {name!r}: {', '.join(names)}" for name, names in report.changed.items() if names]
    found += [f"got out by {name!r}" for name, leaked in report.leaked.items() if leaked]
    kinds = {re.sub(r"[0-9a-f]{6,}|\d+", "#", escape): escape for escape in report.escapes}
    found += [f"{escape[:300]}" for escape in list(kinds.values())[:SHOWN]]
    return found + (["a traceback"] if "traceback" in report.stderr.lower() else [])


def main(wanted: list[str]) -> int:
    bad = 0
    for number, life in enumerate(LIVES):
        if wanted and not any(word in (life.sidecar, life.name) for word in wanted):
            continue
        for layers in chosen(life, number):
            try:
                found = faults(run(life, layers), life.ends)
            except AssertionError as error:
                found = [str(error)[-2000:]]
            bad += bool(found)
            print(f"{'FAULT' if found else 'holds'}  {life.sidecar}: {life.name} ({layers})", flush=True)
            for fault in found:
                print(f"         {fault}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
