"""The copier with a quiet time that never passes, so that a test need not be faster than it."""

from __future__ import annotations

import runpy

from sidecars.warcopier.watch import settling


def main() -> None:
    settling.QUIET = settling.LONGEST = 1e9
    runpy.run_module("sidecars.warcopier", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
