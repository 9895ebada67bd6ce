"""Programs on a pseudo terminal (pty(7)): what they show to a person, and keys that are pressed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

from tests.support import CODE, PATIENCE, ROOT

_KEPT = 1_000_000  # bytes of what was shown


class Terminal:
    """A terminal with one program. `shown` has the bytes that the program has written, escape sequences included."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], columns: int, rows: int) -> None:
        self.shown = b""
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{CODE}:{ROOT}", "TERM": "xterm", **environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=_control,  # noqa: PLW1509 - the tests' own threads hold no lock that it needs
        )  # fmt: skip
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def read(self) -> bool:
        """Read what the program has written since. Return False if it has ended and all is read."""
        if not select.select([self._ours], [], [], 0.1)[0]:
            return True
        try:
            self.shown = (self.shown + os.read(self._ours, 65536))[-_KEPT:]
        except OSError:  # EIO: the program has closed the terminal
            return False
        return True

    def text(self) -> str:
        return self.shown.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, words: str, *, after: int = 0) -> None:
        """Wait until these words are shown behind the offset `after` of `shown`."""
        deadline = time.monotonic() + PATIENCE
        while words.encode() not in self.shown[after:]:
            assert time.monotonic() < deadline, f"not shown: {words!r}; so far:\n{self.text()[-3000:]}"
            assert self.read() or words.encode() in self.shown[after:], f"ended without {words!r}:\n{self.text()}"

    def wait(self) -> int:
        """Read until the program ends, and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, f"it does not end; so far:\n{self.text()[-3000:]}"
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


def _control() -> None:
    """Make standard input the controlling terminal of the new session: Ctrl-C and a new size become signals there."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def terminal(
    command: Sequence[str], environ: Mapping[str, str], columns: int = 160, rows: int = 50
) -> Iterator[Terminal]:
    """Run `python -m` with this command on a terminal of its own. The environment has only the given variables."""
    shown = Terminal(command, environ, columns, rows)
    try:
        yield shown
    finally:
        shown.close()


def lines_on_a_terminal(module: str, environ: Mapping[str, str], *, first: bool = False) -> list[str]:
    """Return the lines that a program shows until it ends; with `first`, at least the first one."""
    with terminal([module], environ) as shown:
        if first:
            shown.wait_for("\n")
        else:
            shown.wait()
        return shown.text().splitlines()
