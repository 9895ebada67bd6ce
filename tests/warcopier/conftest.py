"""Fixtures for the tests of the copier."""

from __future__ import annotations

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
