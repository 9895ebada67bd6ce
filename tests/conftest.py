"""Fixtures for the tests of real programs, and the choice of the quick tests that start none: `pytest --units`.

A unit test lies in `tests/<sidecar>/<package>/`, which mirrors the package that it tests. A test that starts a program
lies in `tests/<sidecar>/program/` or in one of the other folders of PROGRAMS. A test of a package that needs a process,
such as the fork pool's, bears the mark `processes`. A unit test that takes seconds of CPU, such as that of an archive
with 65,536 entries, bears the mark `slow`: `--units` leaves it out, too.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sidecars.chassis.runtime import logs
from tests.support import UNITS, Program

# Here property tests look for new examples each time; in CI they try the same ones: a red run must be about the change.
# No example has a deadline, and none is too slow: the speed of a busy machine has no influence on the property.
SLOWLY = [HealthCheck.too_slow]
settings.register_profile("here", deadline=None, suppress_health_check=SLOWLY)
settings.register_profile("ci", deadline=None, suppress_health_check=SLOWLY, derandomize=True, database=None)
settings.register_profile(UNITS, settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "here")

PROCESSES = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})
"""Audit events of Python that start a process (PEP 578)."""
PROGRAMS = frozenset(
    {"program", "demo", "examples", "deploy", "hostile", "images", "infra", "installed", "model", "repo"}
)
PROGRAMS |= {"browser", "simulation", "world"}
LEFT_OUT = ("processes", "slow")
HERE = Path(__file__).parent

Start = Callable[..., Program]


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo `logs.configure`: the tests after this one may run in the same process."""
    monkeypatch.setattr(logs, "_output", logs._output)
    monkeypatch.setattr(logs, "_scrub", logs._scrub)
    root = logging.getLogger()
    handlers, level, loud = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, loud
    root.setLevel(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--units", action="store_true", help="only quick tests that start no process: one that does fails")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--units"):
        settings.load_profile(UNITS)
        config.pluginmanager.register(NoProcesses())


def pytest_collection_finish() -> None:
    """Exempt the thousands of collected tests, which stay until the end, from the passes of the garbage collector."""
    gc.collect()
    gc.freeze()


class NoProcesses:
    """A plugin that lets no unit test start a process. Pytest and its plugins may."""

    def __init__(self) -> None:
        self._in_a_test = False
        sys.addaudithook(self._refuse)

    def _refuse(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self._in_a_test and event in PROCESSES:
            raise RuntimeError(f"a unit test starts a process ({event}): move it to a folder program/ or mark it")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, bool | None, bool | None]:
        self._in_a_test = True
        try:
            return (yield)
        finally:
            self._in_a_test = False


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--units`, the folders of programs are not even imported."""
    left_out = config.getoption("--units") and not PROGRAMS.isdisjoint(collection_path.relative_to(HERE).parts)
    return True if left_out else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--units"):
        left_out = {item for item in items if any(item.get_closest_marker(mark) for mark in LEFT_OUT)}
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


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
