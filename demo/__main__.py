"""`python -m demo [--plain] [--stay]`: exit code 0 if every line of the ledger holds, else 1.

`--plain` prints lines on a terminal, too. `--stay` keeps the page in the browser after the end, until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console

from demo.events import Journal, Part
from demo.ledger import Ledger
from demo.page.history import History
from demo.page.server import PageServer
from demo.stage import Broken, Stage
from demo.story import Story
from demo.view import Plain, Terminal
from sidecars.chassis import streams

OPTIONS = ("--plain", "--stay")
OUTSIDE: tuple[Part, ...] = ("storage", "replica 1", "replica 2", "replica 3")  # of the Pod: they end with the demo


async def perform(folder: Path, journal: Journal) -> Ledger:
    ledger = Ledger(journal.entered)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client, Stage(folder) as stage:
        try:
            await Story(stage, journal, ledger, client).perform()
            for part in OUTSIDE:
                journal.became(part, "ended")
        except* Broken as broken:
            for error in broken.exceptions:
                ledger.expect("the Pod", "the story goes on to its end", "it does", str(error))
            for actor in stage.actors:
                if actor.process.returncode not in (0, None):
                    journal.say(actor.name, f"had ended with {actor.process.returncode}: {actor.last_words}")
    journal.ended(holds=ledger.holds)
    return ledger


async def show(folder: Path, *, plain: bool, stay: bool) -> Ledger:
    """Perform the story, with the page in a browser and the view on the terminal, and show the ledger."""
    console = Console()
    history = History()
    async with PageServer(history) as page:
        until = "until Ctrl-C" if stay else "until the demo ends; make demo STAY=1 keeps it"
        print(f"The same in a browser: {page.url} ({until})\n", flush=True)
        terminal = Terminal(console) if console.is_terminal and not plain else None
        view = terminal or Plain()
        journal = Journal(listeners=[view.take, history.take])
        with terminal.live() if terminal else contextlib.nullcontext():
            ledger = await perform(folder, journal)
        view.show(ledger)
        print("\nevery line of the ledger holds" if ledger.holds else "\nthe ledger does NOT hold", flush=True)
        if stay:
            print(f"The page stays at {page.url} until Ctrl-C.", flush=True)
            await interrupted()
    return ledger


async def interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    await over.wait()


def main(arguments: list[str]) -> int:
    if not set(arguments) <= set(OPTIONS):
        print(f"usage: python -m demo {' '.join(f'[{option}]' for option in OPTIONS)}", file=sys.stderr)
        return 64
    with tempfile.TemporaryDirectory(prefix="sidecars-demo-") as name:
        try:
            ledger = asyncio.run(show(Path(name), plain="--plain" in arguments, stay="--stay" in arguments))
        except KeyboardInterrupt:
            print("\nstopped before the end", file=sys.stderr)
            return 130
    return 0 if ledger.holds else 1


if __name__ == "__main__":
    sys.exit(streams.run_command(lambda: main(sys.argv[1:])))
