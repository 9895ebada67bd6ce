"""The places of declared roots, and the rights that each version of Landlock knows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecars.chassis.isolation import landlock, roots
from sidecars.chassis.isolation.places import own_roots, places
from sidecars.chassis.isolation.roots import DeclaredRoot, glob_base


def found(path: str | Path, access: int = roots.READ, **more: bool) -> list[str]:
    return list(dict.fromkeys(places(DeclaredRoot(str(path), access, **more))))


# -- places --------------------------------------------------------------------------------------------------------


def test_the_place_of_a_directory_is_the_directory_and_of_a_file_the_one_that_it_lies_in(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app.log").touch()
    assert found(tmp_path / "logs") == [str(tmp_path / "logs")]
    assert found(tmp_path / "logs" / "app.log") == [str(tmp_path / "logs")]


def test_the_nearest_directory_stands_for_one_that_may_come_later(tmp_path: Path) -> None:
    assert found(tmp_path / "not" / "yet" / "app.log") == [str(tmp_path)]


def test_the_root_of_everything_stands_for_nothing_but_itself() -> None:
    assert found("/there-is-none/app.log") == []
    assert found("/") == ["/"]


def test_a_directory_to_write_is_made_and_nothing_above_it_is_opened(tmp_path: Path) -> None:
    assert found(tmp_path / "a" / "state", roots.WRITE, made=True) == [str(tmp_path / "a" / "state")]
    assert (tmp_path / "a" / "state").is_dir()
    assert found(tmp_path / "webapps", roots.MOVE) == []
    (tmp_path / "file").touch()
    assert found(tmp_path / "file" / "state", roots.WRITE, made=True) == []  # the process will say why it cannot be


def test_a_file_alone_is_its_own_place_if_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "termination-log").touch()
    assert found(tmp_path / "termination-log", roots.OVERWRITE, alone=True) == [str(tmp_path / "termination-log")]
    assert found(tmp_path / "gone", roots.OVERWRITE, alone=True) == []


def test_the_destination_of_a_link_in_the_operators_path_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "run" / "secrets").mkdir(parents=True)
    (tmp_path / "run" / "secrets" / "token").touch()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to(tmp_path / "run")
    here = tmp_path / "var" / "run" / "secrets"
    assert found(here / "token") == [str(here), str(tmp_path / "run" / "secrets")]
    assert str(tmp_path / "var") not in found(here / "token")  # /var/run must not open all of /var


def test_a_link_that_is_swapped_within_its_directory_opens_the_directory(tmp_path: Path) -> None:
    """git-sync swaps `current`, and the kubelet `..data`."""
    (tmp_path / "git" / ".worktrees" / "1" / "wars").mkdir(parents=True)
    (tmp_path / "git" / "current").symlink_to(".worktrees/1")
    assert str(tmp_path / "git") in found(tmp_path / "git" / "current" / "wars")


def test_a_chain_of_links_without_an_end_is_a_place_that_is_missing(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / f"{number}").symlink_to(f"{number + 1}")
    assert found(tmp_path / "0") == [str(tmp_path)]


def test_a_relative_path_is_one_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert found("a.log") == [str(tmp_path)]


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        ("/logs/*.log", "/logs"),
        ("/logs/app*/x.log", "/logs"),
        ("/logs/a/**/x[0-9].log", "/logs/a"),
        ("/logs/app.log", "/logs/app.log"),
        ("/app-?.log", "/"),
        ("*.log", "."),
        ("logs/*.log", "logs"),
    ],
)
def test_the_base_of_a_glob_is_what_it_names_in_full(pattern: str, base: str) -> None:
    assert glob_base(pattern) == base


# -- what Python itself needs --------------------------------------------------------------------------------------


def test_the_program_reads_its_code_and_writes_only_where_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", ["/", "", "relative", "/usr/lib/python3"])
    own = list(own_roots())
    assert {root.path for root in own if root.access & roots.WRITE_FILE} == {os.devnull, "/dev/termination-log"}
    assert "/" not in {root.path for root in own}  # `python -m` puts the working directory on the path
    assert str(Path(landlock.__file__).parents[2]) in {root.path for root in own}
    assert not any(root.access & roots.EXECUTE for root in own)


# -- rights by ABI -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abi", "known", "unknown", "size"),
    [
        (1, roots.MAKE_SOCK, roots.REFER, 8),
        (2, roots.REFER, roots.TRUNCATE, 8),
        (3, roots.TRUNCATE, roots.IOCTL_DEV, 8),
        (4, roots.TRUNCATE, roots.IOCTL_DEV, 16),
        (5, roots.IOCTL_DEV, roots.RESOLVE_UNIX, 16),
        (6, roots.IOCTL_DEV, roots.RESOLVE_UNIX, 24),
        (7, roots.IOCTL_DEV, roots.RESOLVE_UNIX, 24),
        (9, roots.RESOLVE_UNIX, 1 << 17, 24),
        (99, roots.RESOLVE_UNIX, 1 << 17, 24),
    ],
)
def test_the_kernel_is_asked_only_for_what_its_version_knows(abi: int, known: int, unknown: int, size: int) -> None:
    assert landlock.handled(abi) & known
    assert not landlock.handled(abi) & unknown
    assert landlock.attribute_size(abi) == size
