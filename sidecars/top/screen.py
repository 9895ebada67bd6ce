"""The whole terminal: the sidecars below each other, keys, scrolling, and a new drawing at each resize.

It draws if a sidecar has answered, a key was pressed, or the size has changed, and at least every two seconds. Without
a terminal on standard input there are no keys, and Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence

import httpx
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from sidecars.top.drawing import drawn
from sidecars.top.watched import Watched, new_client

_KEYS = 64  # bytes of one read
_KEY = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", re.DOTALL)
_HELP = "q quit   ↑ ↓ PgUp PgDn scroll"
_SCROLL = {
    b"\x1b[A": -1, b"\x1bOA": -1, b"k": -1,
    b"\x1b[B": 1, b"\x1bOB": 1, b"j": 1,
    b"\x1b[5~": -20, b"b": -20,
    b"\x1b[6~": 20, b" ": 20,
    b"\x1b[H": -(10**9), b"g": -(10**9),
}  # fmt: skip
"""Lines by which a key scrolls."""


class Screen:
    """The state of the screen: the sidecars, and the number of lines above the first one that is visible."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._watched = watched
        self._above = 0
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()

    def press(self, keys: bytes) -> None:
        """Take the bytes of one or more keys. A key that means nothing does nothing."""
        for key in _KEY.findall(keys):
            self._above += _SCROLL.get(key, 0)
            if key in (b"q", b"Q"):
                self.ended.set()
        self.changed.set()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        parts: list[RenderableType] = []
        for one in shown_of(self._watched):
            parts += [*drawn(one, width, live=True), Text()]
        lines = console.render_lines(Group(*parts), options.update(height=None, width=width), pad=False)
        room = max(height - 1, 1)
        self._above = max(0, min(self._above, len(lines) - room))
        below = len(lines) - room - self._above
        for line in lines[self._above : self._above + room]:
            yield from line
            yield Segment.line()
        for _ in range(room - len(lines)):
            yield Segment.line()
        more = f"   {below} more lines below" if below > 0 else ""
        yield Text(f"{_HELP}{more}", "dim", no_wrap=True, overflow="ellipsis", end="")


async def show(watched: Sequence[Watched], console: Console) -> None:
    """Show the sidecars until a key ends it, or SIGINT or SIGTERM, or the terminal is gone. Raises IOFailed."""
    screen = Screen(watched)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, screen.ended.set)
    loop.add_signal_handler(signal.SIGWINCH, screen.changed.set)
    try:
        with Live(screen, console=console, screen=True, auto_refresh=False, transient=True) as live, _keys(screen):
            async with new_client() as client, asyncio.TaskGroup() as tasks:
                looks = [tasks.create_task(one.keep_looking(client, screen.changed.set)) for one in watched]
                await _draw(screen, live)
                for look in looks:
                    look.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # such as a terminal that cannot be written


async def _draw(screen: Screen, live: Live) -> None:
    ended = asyncio.ensure_future(screen.ended.wait())
    while not ended.done() and live.console.is_terminal:  # it may be gone without a signal, as with nohup
        changed = asyncio.ensure_future(screen.changed.wait())
        await asyncio.wait({ended, changed}, timeout=2, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        screen.changed.clear()
        live.refresh()
    ended.cancel()


@contextlib.contextmanager
def _keys(screen: Screen) -> Iterator[None]:
    """Let the keys of standard input come at once and unseen. The terminal is afterwards as it was."""
    number = sys.stdin.fileno()
    if not os.isatty(number):
        yield
        return
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def read() -> None:
        try:
            keys = os.read(number, _KEYS)
        except OSError:
            keys = b""
        if keys:
            screen.press(keys)
        else:
            screen.ended.set()  # the terminal is gone

    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def shown_of(watched: Sequence[Watched]) -> list[Watched]:
    """Return the sidecars that are shown: those that the user has named, and those that have ever answered."""
    return [one for one in watched if one.status or not one.label]


async def look_once(watched: Sequence[Watched], client: httpx.AsyncClient | None = None) -> None:
    """Ask each sidecar once."""
    async with client or new_client() as asked:
        await asyncio.gather(*(one.look(asked) for one in watched))
