"""Globs: the same files as Python's glob finds, in any tree; the walk ends, whatever the links are."""

from __future__ import annotations

import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.volumes import globs
from sidecars.logshipper.volumes.log_volumes import LogVolumes

NAMES = ["a", "b", "a.log", "b.log", ".hidden", ".h.log"]
PARTS = ["*", "**", "a", "?", "*.log", "[ab]", "[!a]*", ".h*", "b.log"]


def found(pattern: str, *link_roots: Path) -> list[str]:
    volumes = LogVolumes([globs.base(pattern)], map(str, link_roots))
    try:
        return [match.path for match in globs.find(pattern, volumes, lambda *_: None, set()) if match is not None]
    finally:
        volumes.close()


@given(
    st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), max_size=12),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
)
def test_what_python_finds_is_found_in_any_tree(paths: list[list[str]], parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            target = Path(folder, *path)
            if not any(parent.is_file() for parent in [target, *target.parents]):
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.touch()
        pattern = "/".join([folder, *parts])
        matches = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - the meaning that is promised
        # For `a/**` Python also yields "a/" where `a` is a file: os.path.isfile is false for that, as for a directory.
        expected = {path for path in matches if os.path.isfile(path)}  # noqa: PTH113 - pathlib drops the slash
        assert {path for path in found(pattern) if Path(path).is_file()} == expected


@pytest.mark.parametrize("links", [{"x": ".", "y": "."}, {"x": ".."}, {"x": "y", "y": "x", "z": "z"}])
def test_links_to_directories_above_end_and_each_file_is_found_once(tmp_path: Path, links: dict[str, str]) -> None:
    inner = tmp_path / "logs" / "inner"
    inner.mkdir(parents=True)
    (inner / "app.log").touch()
    for folder in (tmp_path / "logs", inner):
        for name, target in links.items():
            (folder / name).symlink_to(target)
    assert found(f"{tmp_path}/logs/**/*.log") == [str(inner / "app.log")]
    assert found(f"{tmp_path}/logs/**/*.log", tmp_path) == [str(inner / "app.log")]
    assert str(inner / "app.log") in found(f"{tmp_path}/logs/**/**/*.log", tmp_path)


def test_a_link_to_a_directory_elsewhere_is_followed_where_that_is_declared(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "app.log").touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "linked").symlink_to(elsewhere)
    for pattern in (f"{tmp_path}/logs/**/*.log", f"{tmp_path}/logs/*/*.log", f"{tmp_path}/logs/l*/app.log"):
        assert found(pattern) == []
        assert found(pattern, tmp_path / "logs") == []
        assert found(pattern, elsewhere) == [f"{tmp_path}/logs/linked/app.log"]


def test_a_directory_is_read_once_for_a_pattern_however_many_links_lead_to_it(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"link-{number}").symlink_to(".")
    volumes = LogVolumes([str(tmp_path)], [str(tmp_path)])
    steps = sum(1 for _ in globs.find(f"{tmp_path}/**/*.log", volumes, lambda *_: None, set()))
    volumes.close()
    assert steps <= 2 * 21


def test_an_absurd_depth_ends(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(globs.MAX_DEPTH + 20):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    folders: set[str] = set()
    volumes = LogVolumes([str(tmp_path)])
    assert not [match for match in globs.find(f"{tmp_path}/**/*.log", volumes, lambda *_: None, folders) if match]
    volumes.close()
    assert len(folders) == globs.MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("/logs/*.log", "/logs"), ("/logs/app.log", "/logs"), ("/logs/*/x/a.log", "/logs"), ("/*", "/"), ("/**/a", "/")],
)
def test_the_base_of_a_pattern_is_its_fixed_part(pattern: str, expected: str) -> None:
    assert globs.base(pattern) == expected


def test_a_directory_that_cannot_be_read_to_its_end_is_refused_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty listing would say that the files are gone."""
    (tmp_path / "a.log").touch()
    volumes = LogVolumes([str(tmp_path)])
    scan = LogVolumes.scan

    def scan_one(self: LogVolumes, folder: str) -> Iterator[os.DirEntry[str]]:
        yield from scan(self, folder)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(LogVolumes, "scan", scan_one)
    refused: list[str] = []
    matches = globs.find(f"{tmp_path}/*.log", volumes, lambda path, *_: refused.append(path), set())
    assert [match.path for match in matches if match is not None] == [f"{tmp_path}/a.log"]
    assert refused == [str(tmp_path)]
    volumes.close()
