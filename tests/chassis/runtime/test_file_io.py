"""Whole writes, names on the disk, and reads of files that may be anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecars.chassis.runtime import file_io
from tests.hostile_files import NO_SMALL_FILES, unblocked
from tests.support import own_descriptors


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
    before = own_descriptors()

    file_io.fsync_directory(tmp_path)

    assert flushed == [str(tmp_path)]
    assert own_descriptors() <= before


@pytest.mark.parametrize("kind", NO_SMALL_FILES)
@pytest.mark.parametrize("read", [file_io.read_text, file_io.read_small])
def test_what_is_no_small_file_is_refused_at_once(tmp_path: Path, kind: str, read: Callable[[str], object]) -> None:
    put, reason = NO_SMALL_FILES[kind]
    put(tmp_path / "file")
    with pytest.raises(OSError, match=reason):
        unblocked(lambda: read(str(tmp_path / "file")))


def test_a_file_that_grows_after_its_size_was_seen_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert file_io.read_small(str(file), 5) == b"12345"
    real = os.fstat

    def grown(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        file.write_bytes(b"123456")
        return status

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(OSError, match="more than 5 bytes"):
        file_io.read_small(str(file), 5)


@pytest.mark.parametrize("content", ["a\r\nb\rc\n", "", "\u20ac" * 3])
def test_a_text_is_what_python_reads(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content.encode())
    assert file_io.read_text(str(file)) == file.read_text()
