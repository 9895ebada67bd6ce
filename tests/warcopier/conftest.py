"""Fixtures for the tests of the copier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warcopier.support import Copier


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    """The copier with an empty source and an empty target."""
    found = Copier(tmp_path / "artifacts", tmp_path / "webapps")
    found.source.mkdir()
    found.target.mkdir()
    return found


@pytest.fixture
def umask_of_its_own() -> Iterator[None]:
    """For a test that runs the copier in this very process: its umask is gone with the test."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)
