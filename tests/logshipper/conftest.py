"""Fixtures for the tests of logshipper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logshipper.pod import Pod
from tests.logshipper.support import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)
