"""`beneath.Root` against a neighbour that swaps a directory and a link all the time, and against any name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from sidecars.chassis.isolation import openat2
from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.warcopier.target.directory_swap import exchange
from tests.support import examples

ROUNDS = 2_000  # operations of each kind during a storm


@pytest.fixture(params=["openat2", "chain"])
def volume(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a volume with a directory `inside/a/b`, and a link `inside/a/l` that leads to `outside`."""
    if request.param == "chain":
        monkeypatch.setattr(openat2, "probed", ["ENOSYS"])
    elif openat2.absence():
        pytest.skip(f"this kernel or this container has no openat2: {openat2.absence()}")
    for name in ("inside/a/b", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "kept").write_text(name)
    (tmp_path / "inside/a/l").symlink_to("../../outside")
    return tmp_path


@contextlib.contextmanager
def storm(volume: Path) -> Iterator[None]:
    """Let another process exchange `b` and `l` without a pause, as long as the context is open."""
    begun, told = os.pipe()
    neighbour = os.fork()
    if not neighbour:
        with contextlib.suppress(BaseException), Root.open(volume / "inside/a") as directory:
            os.write(told, b"x")
            while True:
                exchange(directory, "b", directory, "l")
        os._exit(1)
    try:
        os.read(begun, 1)
        yield
    finally:
        os.kill(neighbour, 9)
        os.waitpid(neighbour, 0)
        os.close(begun)
        os.close(told)


def _read(root: Root, _number: str) -> None:
    assert root.read_small("a/b/file", 100) == b"inside/a/b"


def _list(root: Root, _number: str) -> None:
    with root.subdirectory("a/b") as directory:
        assert directory.read_small("kept", 100) == b"inside/a/b"


STORMED: list[Callable[[Root, str], None]] = [
    _read,
    _list,
    lambda root, number: os.close(root.create(f"a/b/new{number}")),
    lambda root, number: root.make_directory(f"a/b/dir{number}"),
    lambda root, number: root.rename(f"a/b/new{number}", f"a/b/newer{number}"),
    lambda root, number: root.remove(f"a/b/newer{number}"),
    lambda root, _number: os.close(root.open_own("a/b/file", os.O_RDWR)),
]


@pytest.mark.processes
def test_no_operation_leaves_the_root_while_a_directory_and_a_link_change_places(volume: Path) -> None:
    outside = {path.name: path.read_text() for path in (volume / "outside").iterdir()}
    met = {True: 0, False: 0}  # operations by whether they were refused
    with storm(volume), Root.open(volume / "inside") as root:
        for number in range(ROUNDS):
            for operation in STORMED:
                try:
                    operation(root, f"{number}")
                    met[False] += 1
                except (LeavesRoot, FileNotFoundError, NotADirectoryError):
                    met[True] += 1
    assert {path.name: path.read_text() for path in (volume / "outside").iterdir()} == outside
    assert all(met.values()), f"the storm met no operation, or every one: {met}"


@pytest.mark.processes
def test_a_plain_open_leaves_the_root_in_the_same_storm(volume: Path) -> None:
    """The oracle can fail: O_NOFOLLOW guards the last component only."""
    directory = os.open(volume / "inside", os.O_RDONLY | os.O_DIRECTORY)
    found = set()
    try:
        with storm(volume):
            while b"outside" not in found:
                descriptor = os.open("a/b/file", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
                found.add(os.read(descriptor, 100))
                os.close(descriptor)
    finally:
        os.close(directory)


PARTS = st.sampled_from(["", ".", "..", "a", "b", "file", "l", "kept", "new", "\0", "\udc80", "\ud800", "x" * 300, "/"])
NAMES = st.one_of(st.text(max_size=30), st.lists(PARTS, max_size=8).map("/".join))


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=NAMES)
def test_whatever_the_name_is_it_names_something_inside_or_is_an_os_error(volume: Path, name: str) -> None:
    with Root.open(volume / "inside") as root:
        for operation in (
            lambda: os.close(root.open_file(name)),
            lambda: os.close(root.open_own(name, os.O_RDWR)),
            lambda: root.subdirectory(name).close(),
            lambda: root.status(name or "a"),
            lambda: root.read_link(name),
            lambda: list(root.scan(name or "a")),
            lambda: root.make_directory(name),
            lambda: root.remove_directory(name),
        ):
            with contextlib.suppress(OSError):
                operation()
    assert sorted(path.name for path in volume.iterdir()) == ["inside", "outside"]
    assert sorted(path.name for path in (volume / "outside").iterdir()) == ["file", "kept"]


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=NAMES)
def test_both_ways_to_resolve_a_name_give_the_same_answer(volume: Path, name: str) -> None:
    """The error is the same, too, but for a name that can never exist: then the order of two reasons differs."""
    can_exist = len(name) < 255 and "\ud800" not in name
    answers: list[int | str] = []
    kept = list(openat2.probed)
    for absence in ("", "ENOSYS"):
        openat2.probed[:] = [absence]
        with Root.open(volume / "inside") as root:
            try:
                descriptor = root.open_file(name)
                answers.append(os.fstat(descriptor).st_ino)
                os.close(descriptor)
            except OSError as error:
                answers.append(type(error).__name__ if can_exist else "OSError")
    openat2.probed[:] = kept
    assert answers[0] == answers[1]
