"""Whole writes and names on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecars.chassis.runtime import file_io


def test_everything_is_written_however_little_the_system_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda number, data: real(number, bytes(data[:3])))
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)

    file_io.write_all(descriptor, b"0123456789")
    os.close(descriptor)

    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_the_names_of_a_folder_are_flushed_and_its_descriptor_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    before = len(list(Path("/proc/self/fd").iterdir()))

    file_io.fsync_directory(tmp_path)

    assert flushed == [str(tmp_path)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
