"""Fixtures for the tests of the copier."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support import Program, free_port
from tests.warcopier.support import Copier, leftovers
from tests.warcopier.watching import Watch, Watcher


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    """The copier with an empty source and an empty target."""
    found = Copier(tmp_path / "artifacts", tmp_path / "webapps")
    found.source.mkdir()
    found.target.mkdir()
    return found


@pytest.fixture
def umask_of_its_own() -> Iterator[None]:
    """Restore the umask after a test that runs the copier in this process."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory of a tmpfs."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="warcopier-") as folder:
        yield Path(folder)


@pytest.fixture
def watch(copier: Copier, start: Start) -> Iterator[Watch]:
    """Start the copier with WATCH: `watch()`, or `watch("tests.warcopier.two_threads", …)`, with more settings."""
    programs: list[Program] = []

    def begin(*module: str, **settings: str) -> Watcher:
        port = free_port()
        environ = copier.environ({"WARCOPIER_WATCH": "true", "WARCOPIER_ADMIN_LISTEN": f"127.0.0.1:{port}", **settings})
        programs.append(start(*(module or ("warcopier",)), **environ))
        return Watcher(copier, programs[-1], port)

    yield begin
    for program in programs:
        if program.process.poll() is None:
            assert program.stop() == 0, program.stderr
    assert leftovers(copier.target) == []
