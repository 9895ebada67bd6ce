"""Fixtures for the tests of real programs, and the choice of the tests that start none: `pytest --units`.

A unit test lies in `tests/<sidecar>/<package>/`, which mirrors the package that it tests. A test that starts a program
lies in `tests/<sidecar>/program/` or in one of the other folders of PROGRAMS. A test of a package that needs a process,
such as the fork pool's, bears the mark `processes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import Program

# Here property tests look for new examples each time; in CI they try the same ones: a red run must be about the change.
# No example has a deadline, and none is too slow: the speed of a busy machine has no influence on the property.
SLOWLY = [HealthCheck.too_slow]
settings.register_profile("here", deadline=None, suppress_health_check=SLOWLY)
settings.register_profile("ci", deadline=None, suppress_health_check=SLOWLY, derandomize=True, database=None)
settings.register_profile("units", settings.get_profile("ci"), max_examples=20)
settings.load_profile("ci" if os.environ.get("CI") else "here")

PROCESSES = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})
"""Audit events of Python that start a process (https://docs.python.org/3/library/audit_events.html)."""
PROGRAMS = frozenset({"program", "demo", "examples", "images", "infra", "installed", "repo"})

Start = Callable[..., Program]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--units", action="store_true", help="only tests that start no process; one that starts one fails")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--units"):
        settings.load_profile("units")
        config.pluginmanager.register(NoProcesses())


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--units"):
        units = [item for item in items if is_unit(item, config.rootpath)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(units)])
        items[:] = units


def is_unit(item: pytest.Item, root: Path) -> bool:
    """True if the test may start no process: by its folder, and by its mark."""
    return not PROGRAMS & set(item.path.relative_to(root).parts) and item.get_closest_marker("processes") is None


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
