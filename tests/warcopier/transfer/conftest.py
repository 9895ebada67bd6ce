"""Fixtures for tests of transfers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warcopier.open_files import DATA, Files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Open a file with DATA for reading, and an empty one for writing."""
    (tmp_path / "from").write_bytes(DATA)
    reader = os.open(tmp_path / "from", os.O_RDONLY)
    writer = os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT)
    yield reader, writer
    os.close(reader)
    os.close(writer)
