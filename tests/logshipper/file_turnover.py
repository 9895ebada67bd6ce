"""What apps and rotations do to log files: a round of it, over many files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.logshipper.support import append


def turn_over(logs: Sequence[Path], number: int) -> list[str]:
    """Write to a third of the files and rename them, replace a third, and just write to the rest. Return the lines.

    A renamed file gets the name of the one of the round before, which is deleted thereby. Where an inode is free, the
    next new file gets it. Everything that was written before must have been shipped: what is deleted is gone.
    """
    lines = []
    for count, log in enumerate(logs):
        last, line = f"{log.name} last of {number}", f"{log.name} round {number}"
        if count % 3 == 0:
            append(log, f"{last}\n")
            log.rename(log.with_name(f"{log.name}.1"))
            lines.append(last)
        elif count % 3 == 1:
            log.unlink()
        append(log, f"{line}\n")
        lines.append(line)
    return lines
