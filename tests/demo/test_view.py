"""The views on the terminal consume the same events as the page."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from demo.events import Became, Event, Moved, Present, Said
from demo.ledger import Ledger
from demo.view import Plain, Terminal

STORY: list[Event] = [
    Present(0.5, "logshipper", "12 lines delivered"),
    Said(1.25, "app", "serves [bold]its[/] page"),
    Became(2.0, "app", "hangs"),
    Moved(2.5, {"calls": 1}),
]


def ledger() -> Ledger:
    made = Ledger()
    made.expect("app", "exit code", 0, 0)
    made.expect("app", "lines [/] of the log", 5, 4)
    return made


def test_the_plain_view_prints_what_is_said_and_the_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    view = Plain()
    for event in STORY:
        view.take(event)
    view.show(ledger())
    assert capsys.readouterr().out.splitlines() == [
        "   1.2 s  app         serves [bold]its[/] page",
        "",
        "ledger",
        "  ok     app         exit code: 0",
        "  WRONG  app         lines [/] of the log: 4 (expected 5)",
    ]


def test_the_terminal_shows_the_present_lines_and_what_was_said_as_it_is() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    view = Terminal(console)
    with view.live():
        for event in STORY:
            view.take(event)
    console.print(view._picture())
    shown = console.export_text()
    assert "12 lines delivered" in shown
    assert "1.2 s  app         serves [bold]its[/] page" in shown
