"""Check the model of the journal protocol: `python -m tests.model N=6 KILLS=2`. Exit code 1: a promise is broken."""

from __future__ import annotations

import sys
import time

from tests.model.checker import MissingTool, check


def main() -> int:
    constants = {
        name: int(value) if value else None for name, _, value in (each.partition("=") for each in sys.argv[1:])
    }
    began = time.monotonic()
    try:
        outcome = check(constants, optimise=True)
    except MissingTool as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    verdict = f"BROKEN: {outcome.error}" if outcome.error else "every promise holds"
    sys.stdout.write(
        f"{' '.join(sys.argv[1:])}: {outcome.states:,} states, {time.monotonic() - began:.1f} s: {verdict}\n"
    )
    return int(bool(outcome.error))


if __name__ == "__main__":
    sys.exit(main())
