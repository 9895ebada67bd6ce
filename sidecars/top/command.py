"""The command `sidecars-top`: live on a terminal; elsewhere, with `--once` or TERM=dumb, one moment as plain text.

Exit codes: 0 ended by the user, or printed; 64 wrong arguments; 69 no sidecar answers, or packages are not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from sidecars import chassis
from sidecars.chassis import streams
from sidecars.chassis.commandline import EX_USAGE, what_pip_installs
from sidecars.chassis.runtime.lifecycle import Unavailable
from sidecars.chassis.siblings import PORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sidecars.top.watched import Watched

_EXTRA = "top"
_WIDTH = 200  # columns of plain text, unless COLUMNS says otherwise
_WITHOUT_CURSOR = ("dumb", "unknown")  # values of TERM
_MOST_COLUMNS, _HEIGHT = 10_000, 25
_ABOUT = (
    "Shows what the page of each sidecar shows, live in a terminal: q ends it. Without --url it asks the default admin \
ports of this host, such as those that `kubectl port-forward POD 9911 9912 9913 9914` forwards."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"{self.prog}: {message}\n{self.format_usage()}")


def main() -> int:
    return streams.run_command(lambda: run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments, and return the exit code. Raises Unavailable."""
    parser = _Parser(prog="sidecars-top", description=_ABOUT)
    parser.add_argument("--url", action="append", type=_url, help="address of an admin port; several are allowed")
    parser.add_argument("--once", action="store_true", help="print one moment as plain text, and end")
    parser.add_argument("--version", action="version", version=f"sidecars-top {chassis.__version__}")
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        return asyncio.run(_run(chosen.url, once=chosen.once))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("httpx", "rich"):
            raise
        sentence = f"the package {package} is not installed: pip install '{what_pip_installs()}[{_EXTRA}]'"
        raise Unavailable(sentence, code="package-missing") from None


async def _run(urls: Sequence[str] | None, *, once: bool) -> int:
    from httpx import InvalidURL  # noqa: PLC0415 - --help needs no package
    from rich.console import Console  # noqa: PLC0415 - --help needs no package

    from sidecars.top import screen  # noqa: PLC0415 - --help needs no package
    from sidecars.top.watched import Watched  # noqa: PLC0415 - --help needs no package

    try:
        watched = [Watched(url) for url in urls or ()]
    except InvalidURL as error:
        sys.stderr.write(f"sidecars-top: argument --url: {error}\n")
        return EX_USAGE
    if not watched:
        watched = [Watched(f"http://127.0.0.1:{port}/", name) for name, port in PORTS.items()]
        await screen.look_once(watched)
        if not screen.shown_of(watched):
            ports = ", ".join(map(str, PORTS.values()))
            raise Unavailable(
                f"no sidecar answers on the ports {ports} of 127.0.0.1: give its address with --url, or forward a port,"
                " such as `kubectl port-forward POD 9912`",
                code="no-sidecar-answers",
            )
    if once or not sys.stdout.isatty() or os.environ.get("TERM") in _WITHOUT_CURSOR:
        console = Console(width=_width(), height=_HEIGHT, no_color=True, force_terminal=False)
        return await _print(watched, console)
    await screen.show(watched, Console())
    return 0


async def _print(watched: Sequence[Watched], console: Console) -> int:
    from sidecars.top import drawing, screen  # noqa: PLC0415 - --help needs no package

    await screen.look_once([one for one in watched if not (one.status or one.label)])
    for one in screen.shown_of(watched):
        with console.capture() as captured:
            for part in drawing.drawn(one, console.width, live=False):
                console.print(part)
        print("\n".join(line.rstrip() for line in captured.get().splitlines()), end="\n\n")
    return Unavailable.exit_code if any(one.failure for one in screen.shown_of(watched)) else 0


def _width() -> int:
    """Return the columns of plain text: COLUMNS, within reason."""
    text = os.environ.get("COLUMNS", "")
    return min(max(int(text), 1), _MOST_COLUMNS) if text.isascii() and text.isdigit() else _WIDTH


def _url(text: str) -> str:
    """Return the URL. Raises ArgumentTypeError, which the parser reports."""
    if not _is_address(text):
        raise argparse.ArgumentTypeError(
            "expected http://host:port or https://host:port, perhaps with the path of a proxy"
        )
    return text


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:  # an open bracket, or a port beyond 65535
        return False


if __name__ == "__main__":
    sys.exit(main())
