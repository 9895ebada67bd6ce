"""Copying: the bytes arrive, whichever calls the kernel refuses."""

from __future__ import annotations

import errno
import os

import pytest

from sidecars.warcopier.transfer import copying
from tests.warcopier.open_files import DATA, Files, refuse
from tests.warcopier.support import reader_of, sha256


def copied(files: Files) -> bytes:
    assert copying.copy(*files, len(DATA)) == len(DATA)
    return os.pread(files[1], len(DATA) + 1, 0)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM])
@pytest.mark.parametrize("refused", [[], ["copy_file_range"], ["copy_file_range", "sendfile"]])
def test_it_falls_back_to_what_the_kernel_does_not_refuse(
    files: Files, monkeypatch: pytest.MonkeyPatch, refused: list[str], code: int
) -> None:
    for name in refused:
        monkeypatch.setattr(os, name, refuse(code))
    assert copied(files) == DATA


def test_it_goes_on_where_it_was_when_the_kernel_refuses_midway(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.copy_file_range, iter([True, True, False])

    def some(*args: int) -> int:
        return real(*args) if next(calls) else refuse(errno.EXDEV)()

    monkeypatch.setattr(copying, "_KERNEL_PIECE", 100_000)
    monkeypatch.setattr(os, "copy_file_range", some)
    assert copied(files) == DATA


def test_a_file_system_that_moves_nothing_is_not_taken_for_the_end(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    assert copied(files) == DATA


def test_short_writes_are_continued(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    for name in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, name, refuse(errno.ENOSYS))
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:50_000], at))
    assert copied(files) == DATA


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_what_is_no_refusal_is_raised(files: Files, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "copy_file_range", refuse(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        copying.copy(*files, len(DATA))


def test_a_file_that_became_shorter_is_told_by_the_count(files: Files) -> None:
    assert copying.copy(*files, len(DATA) + 5) == len(DATA)


def test_the_digest_is_that_of_all_bytes(files: Files) -> None:
    assert copying.sha256_of(reader_of(files[0])) == sha256(DATA)
