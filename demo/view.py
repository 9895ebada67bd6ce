"""The display of the demo: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from demo.ledger import Entry, Ledger

SIDECARS = {
    "warcopier": "init container",
    "logshipper": "sidecar",
    "ambassador": "ambassador",
    "adapter": "adapter",
}
_EVENTS_SHOWN = 12


class View(Protocol):
    def say(self, who: str, what: str) -> None:
        """Show an event."""

    def now(self, who: str, what: str) -> None:
        """Show the present state of a sidecar."""

    def show(self, ledger: Ledger) -> None:
        """Show the ledger at the end."""


class Plain:
    """Prints a line for each event. It does not print states."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, who: str, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {who:<10}  {what}", flush=True)

    def now(self, who: str, what: str) -> None:
        pass

    def show(self, ledger: Ledger) -> None:
        print("\nledger")
        for entry in ledger.entries:
            print(f"  {'ok   ' if entry.holds else 'WRONG'}  {entry.who:<10}  {entry.what}: {_figures(entry)}")


class Terminal:
    """A live row for each sidecar, and the latest events below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._now = dict.fromkeys(SIDECARS, "")
        self._events: deque[str] = deque(maxlen=_EVENTS_SHOWN)

    @contextmanager
    def live(self) -> Iterator[None]:
        with Live(get_renderable=self._picture, console=self._console, refresh_per_second=8):
            yield

    def say(self, who: str, what: str) -> None:
        self._events.append(f"[dim]{time.monotonic() - self._began:5.1f} s[/]  [cyan]{who:<10}[/]  {escape(what)}")

    def now(self, who: str, what: str) -> None:
        self._now[who] = what

    def show(self, ledger: Ledger) -> None:
        table = Table("", "who", "what had to be true", "seen", title="ledger", title_justify="left")
        for entry in ledger.entries:
            mark = "[green]✓[/]" if entry.holds else "[bold red]✗[/]"
            table.add_row(mark, entry.who, entry.what, escape(_figures(entry)))
        self._console.print(table)

    def _picture(self) -> Panel:
        rows = Table.grid(padding=(0, 2))
        for name, pattern in SIDECARS.items():
            rows.add_row(f"[bold cyan]{name}[/]", f"[dim]{pattern}[/]", escape(self._now[name]))
        return Panel(Group(rows, "", *self._events), title="one Pod, as processes on loopback", title_align="left")


def _figures(entry: Entry) -> str:
    return f"{entry.seen}" if entry.holds else f"{entry.seen} (expected {entry.expected})"
