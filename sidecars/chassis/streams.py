"""Standard output and error of a command. A closed pipe, a full disk or a character set without `…` is no defect.

`--help | head` closes the pipe while the command still writes. Python then ends with a traceback, or complains when it
flushes at its end. Here a stream whose reader has gone writes to /dev/null from then on, and the command continues to
its own exit code.
"""

from __future__ import annotations

import io
import os
import sys

from sidecars.chassis.runtime import lifecycle
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_STDOUT, _STDERR = 1, 2
_NAMES = {_STDOUT: "standard output", _STDERR: "standard error"}


def run_command(main: Callable[[], int]) -> int:
    """Run a command that prints, and return its exit code; 74 if its output cannot be written."""
    lifecycle.ensure_standard_streams()
    sys.stdout, sys.stderr = _stream(_STDOUT, sys.stdout.encoding), _stream(_STDERR, sys.stderr.encoding)
    try:
        code = main()
        sys.stdout.flush()
    except Exception as error:
        failure = lifecycle.failure_of(error)
        if failure is None:
            raise
        sys.stderr.write(f"{failure.reason}\n")
        return failure.exit_code
    return code


def _stream(number: int, encoding: str) -> io.TextIOWrapper:
    raw = _Forgiving(number, "w", closefd=False)
    # A character that the character set lacks is written as its number, in ASCII.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=number == _STDERR or raw.isatty()
    )


class _Forgiving(io.FileIO):
    """A descriptor that becomes /dev/null if a write fails. Raises IOFailed, except for EPIPE."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            self._become_null()
            return len(data)
        except OSError as error:
            self._become_null()  # the bytes in the buffer would fail again
            raise lifecycle.IOFailed(
                f"{_NAMES[self.fileno()]} cannot be written: {error.strerror}", code="output-not-written"
            ) from None

    def _become_null(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
