"""`python -m demo [--plain]`: exit code 0 if every line of the ledger holds, else 1."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console

from demo.ledger import Ledger
from demo.stage import Broken, Stage
from demo.story import Story
from demo.view import Plain, Terminal, View
from sidecars.chassis import streams


async def perform(folder: Path, view: View) -> Ledger:
    ledger = Ledger()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client, Stage(folder) as stage:
        try:
            await Story(stage, view, ledger, client).perform()
        except* Broken as broken:
            for error in broken.exceptions:
                ledger.expect("the Pod", "the story goes on to its end", "it does", str(error))
            for actor in stage.actors:
                if actor.process.returncode not in (0, None):
                    view.say(actor.name, f"had ended with {actor.process.returncode}: {actor.last_words}")
    return ledger


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--plain"]):
        print("usage: python -m demo [--plain]", file=sys.stderr)
        return 64
    console = Console()
    with tempfile.TemporaryDirectory(prefix="sidecars-demo-") as name:
        if console.is_terminal and not arguments:
            terminal = Terminal(console)
            with terminal.live():
                ledger = asyncio.run(perform(Path(name), terminal))
            terminal.show(ledger)
        else:
            plain = Plain()
            ledger = asyncio.run(perform(Path(name), plain))
            plain.show(ledger)
    print("\nevery line of the ledger holds" if ledger.holds else "\nthe ledger does NOT hold")
    return 0 if ledger.holds else 1


if __name__ == "__main__":
    sys.exit(streams.run_command(lambda: main(sys.argv[1:])))
