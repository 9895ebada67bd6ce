"""Unpacking beside a neighbour that exchanges a directory and a link as fast as it can: no file lies outside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecars.chassis.isolation import openat2
from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.warcopier.archive.open_directories import OpenDirectories
from sidecars.warcopier.archive.unpacking import ExplodedDirectoryWriter
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.transfer.progress import no_progress
from tests.warcopier.support import tree

pytestmark = pytest.mark.processes

FILES = 6_000
DATA = b"content"


@contextlib.contextmanager
def storm(folder: Path, name: str, outside: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.warcopier.swap_storm", str(folder), name, str(outside)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as neighbour:
        assert neighbour.stdout
        assert neighbour.stdout.readline() == b"storm\n"
        try:
            yield
            assert neighbour.poll() is None
        finally:
            neighbour.kill()


@pytest.mark.parametrize("layer", ["openat2", "chain"])
def test_none_of_six_thousand_files_lies_outside(tmp_path: Path, layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if layer == "chain":
        monkeypatch.setattr(openat2, "probed", ["ENOSYS"])
    else:
        assert openat2.absence() == "", "this kernel, or the seccomp profile of this container, has no openat2"
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "WEB-INF" / "classes").mkdir(parents=True)
    (outside / "classes").mkdir(parents=True)
    refused = 0
    with Root.open(inside) as root, storm(inside, "WEB-INF", outside):
        for number in range(FILES):
            name = f"WEB-INF/classes/{number}.class".encode()
            entry: Any = SimpleNamespace(name=name, crc=zlib.crc32(DATA), timestamp=None, dos_time=0x5A000000)
            while True:
                # No directory is kept open, so that it is looked up in the storm for each file.
                with OpenDirectories(root) as directories:
                    try:
                        ExplodedDirectoryWriter(directories, 0o644, None, no_progress).file(entry, [DATA])
                        break
                    except (LeavesRoot, BadArchive):  # BadArchive: the chain met the link, and then looked too late
                        refused += 1
    assert tree(outside) == {}
    found = [path for path in inside.rglob("*.class") if path.is_file()]
    assert len(found) == FILES
    assert refused, "the storm was felt"
