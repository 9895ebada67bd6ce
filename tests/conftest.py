"""Fixtures for the tests of real programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Program

Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a sidecar by its name, `start("adapter", ADAPTER_TARGET="http://…")`; it is gone when the test ends.

    A further positional argument goes to its command line: `start("adapter", "--check", …)`.
    """
    running: list[Program] = []

    def begin(name: str, *arguments: str, **environ: str) -> Program:
        module = name if "." in name else f"sidecars.{name}"
        program = Program(["-m", module, *arguments], environ, tmp_path)
        running.append(program)
        return program

    yield begin
    for program in running:
        program.kill()
