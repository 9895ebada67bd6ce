"""The display of the demo on a terminal: a live view, or plain lines. Both consume the events of `demo.events`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from demo.events import Event, Present, Said
from demo.ledger import Ledger

SIDECARS = {
    "warcopier": "init container",
    "logshipper": "sidecar",
    "ambassador": "ambassador",
    "adapter": "adapter",
}
_EVENTS_SHOWN = 12


class View(Protocol):
    def take(self, event: Event) -> None:
        """Show an event, or leave it."""

    def show(self, ledger: Ledger) -> None:
        """Show the ledger at the end."""


class Plain:
    """Prints a line for each thing that is said. It does not print states."""

    def take(self, event: Event) -> None:
        if isinstance(event, Said):
            print(f"{event.at:6.1f} s  {event.who:<10}  {event.what}", flush=True)

    def show(self, ledger: Ledger) -> None:
        print("\nledger")
        for entry in ledger.entries:
            print(f"  {'ok   ' if entry.holds else 'WRONG'}  {entry.who:<10}  {entry.what}: {entry.figures}")


class Terminal:
    """A live row for each sidecar, and the latest events below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._now = dict.fromkeys(SIDECARS, "")
        self._events: deque[str] = deque(maxlen=_EVENTS_SHOWN)

    @contextmanager
    def live(self) -> Iterator[None]:
        with Live(get_renderable=self._picture, console=self._console, refresh_per_second=8):
            yield

    def take(self, event: Event) -> None:
        if isinstance(event, Said):
            self._events.append(f"[dim]{event.at:5.1f} s[/]  [cyan]{event.who:<10}[/]  {escape(event.what)}")
        elif isinstance(event, Present):
            self._now[event.who] = event.what

    def show(self, ledger: Ledger) -> None:
        table = Table("", "who", "what had to be true", "seen", title="ledger", title_justify="left")
        for entry in ledger.entries:
            mark = "[green]✓[/]" if entry.holds else "[bold red]✗[/]"
            table.add_row(mark, entry.who, entry.what, escape(entry.figures))
        self._console.print(table)

    def _picture(self) -> Panel:
        rows = Table.grid(padding=(0, 2))
        for name, pattern in SIDECARS.items():
            rows.add_row(f"[bold cyan]{name}[/]", f"[dim]{pattern}[/]", escape(self._now[name]))
        return Panel(Group(rows, "", *self._events), title="one Pod, as processes on loopback", title_align="left")
