"""Fixtures for the tests of logshipper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.logshipper.pod import Pod
from tests.logshipper.support import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def files_of_pods() -> Iterator[None]:
    yield
    while Pod.alive:
        Pod.alive.pop().kill()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run async tests on uvloop, as the program does."""
    return {"uvloop": uvloop.new_event_loop}
