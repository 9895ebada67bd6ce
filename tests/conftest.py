"""Fixtures for the tests of real programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import Program

# Here property tests look for new examples each time; in CI they try the same ones: a red run must be about the change.
# No example has a deadline, and none is made too slowly: how fast a busy machine is says nothing about the property.
SLOWLY = [HealthCheck.too_slow]
settings.register_profile("here", deadline=None, suppress_health_check=SLOWLY)
settings.register_profile("ci", deadline=None, suppress_health_check=SLOWLY, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

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
