"""The longest stall of each event loop with the largest inputs: `python -m benchmarks.loop_stalls [sidecar ...]`.

Each program runs in `tests.loop_turns`, which notes the turns of its loop in CPU time of the main thread, on asyncio's
loop instead of uvloop. A note has the CPU time of worker threads beyond a poll of 5 ms: a thread that holds the
interpreter's lock stops the loop, too. `tests.largest_inputs` has the inputs. They are as large as the settings'
defaults accept.

The exit status is 1 if a turn is longer than 50 ms.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Figure, conclude
from tests import largest_inputs
from tests.loop_reports import LIMIT, Stall

SIDECARS: dict[str, Callable[[Path], Iterator[tuple[str, Stall]]]] = {
    "adapter": largest_inputs.adapter,
    "logshipper": largest_inputs.logshipper,
    "ambassador": largest_inputs.ambassador,
}


def main() -> int:
    figures = []
    for name in sys.argv[1:] or SIDECARS:
        with tempfile.TemporaryDirectory() as raw:
            for case, stall in SIDECARS[name](Path(raw)):
                print(
                    f"{name}: {case}: turn {stall.turn:.1f} ms, threads {stall.held:.1f} ms, {stall.where}", flush=True
                )
                note = f"{stall.where}; threads held {stall.held:.0f} ms"
                figures.append(Figure(f"{name}: {case}", stall.turn, LIMIT, "ms", note=note))
    return conclude("loop_stalls", figures)


if __name__ == "__main__":
    sys.exit(main())
