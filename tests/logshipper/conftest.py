"""Fixtures for the tests of logshipper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.logshipper.support import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()
