"""Confinement in real processes: what is denied, what is allowed, and what is said where a part is absent."""

from __future__ import annotations

import errno
import functools
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecars.chassis.isolation import confine as module
from sidecars.chassis.isolation import landlock, roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from tests.chassis.isolation.confined import confined, errno_of, in_child, need_landlock

pytestmark = pytest.mark.processes

Do = Callable[[Path], object]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Return a directory with a root, and beside it what a neighbour's links lead to."""
    for name in ("root", "root/below", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "root" / "link").symlink_to("../outside/file")
    (tmp_path / "root" / "links").symlink_to("../outside")
    return tmp_path


def write(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY))


OUTSIDE: dict[str, Do] = {
    "read": lambda at: (at / "outside/file").read_text(),
    "read through a link": lambda at: (at / "root/link").read_text(),
    "read through a link to a directory": lambda at: (at / "root/links/file").read_text(),
    "write through a link": lambda at: write(at / "root/link"),
    "list": lambda at: list((at / "outside").iterdir()),
    "list through a link": lambda at: list((at / "root/links").iterdir()),
    "make": lambda at: (at / "outside/new").touch(),
    "make through a link": lambda at: (at / "root/links/new").touch(),
    "make a directory": lambda at: (at / "root/links/new").mkdir(),
    "remove": lambda at: (at / "root/links/file").unlink(),
    "truncate": lambda at: os.truncate(at / "root/link", 0),
    "rename out": lambda at: (at / "root/file").rename(at / "outside/new"),
    "rename in": lambda at: (at / "outside/file").rename(at / "root/new"),
    "make a link": lambda at: (at / "root/new").symlink_to("file"),
    "make a pipe": lambda at: os.mkfifo(at / "root/new"),
    "open again by a descriptor of before": lambda _at: os.open("file", os.O_RDONLY, dir_fd=BEFORE[0]),
}
INSIDE: dict[str, Do] = {
    "read": lambda at: (at / "root/below/file").read_text(),
    "write": lambda at: (at / "root/below/file").write_text("new"),
    "make": lambda at: (at / "root/new").touch(),
    "make a directory": lambda at: (at / "root/new").mkdir(),
    "remove": lambda at: (at / "root/file").unlink(),
    "rename": lambda at: (at / "root/file").rename(at / "root/below/new"),
    "list": lambda at: list((at / "root/below").iterdir()),
    "import a module": lambda _at: __import__("this"),
    "look up a name": lambda _at: socket.getaddrinfo("localhost", 80),
    "read about this process": lambda _at: Path("/proc/self/stat").read_text(),
    "open /dev/null": lambda _at: write(Path(os.devnull)),
}
BEFORE: list[int] = []  # a descriptor of the directory outside


@pytest.mark.parametrize("what", OUTSIDE)
def test_outside_its_roots_the_process_is_refused(volume: Path, what: str) -> None:
    need_landlock()
    BEFORE[:] = [os.open(volume / "outside", os.O_RDONLY | os.O_DIRECTORY)]
    try:
        root = DeclaredRoot(str(volume / "root"), roots.MOVE)
        refused = confined([root], lambda: errno_of(lambda: OUTSIDE[what](volume)))
    finally:
        os.close(BEFORE[0])
    assert refused in ("EACCES", "EXDEV")
    assert (volume / "outside/file").read_text() == "outside"
    assert [path.name for path in (volume / "outside").iterdir()] == ["file"]


@pytest.mark.parametrize("what", INSIDE)
def test_inside_its_roots_it_works_as_before(volume: Path, what: str) -> None:
    root = DeclaredRoot(str(volume / "root"), roots.MOVE)
    assert confined([root], lambda: errno_of(lambda: INSIDE[what](volume))) == ""


@pytest.mark.parametrize("what", ["write", "make", "make a directory", "remove", "rename"])
def test_a_root_to_read_is_not_written(volume: Path, what: str) -> None:
    need_landlock()
    refused = confined(roots.to_read(volume / "root"), lambda: errno_of(lambda: INSIDE[what](volume)))
    assert refused in ("EACCES", "EXDEV")


def test_no_program_is_started_unless_a_root_says_so() -> None:
    need_landlock()

    def run() -> str:
        return errno_of(lambda: os.execv("/usr/bin/env", ["env", "true"]))

    assert confined([], run) == "EACCES"

    def run_and_wait() -> int:
        child = os.fork()
        if not child:
            os.execv("/usr/bin/env", ["env", "true"])
        return os.waitpid(child, 0)[1]

    assert confined(roots.to_execute("/usr/bin/env"), run_and_wait) == 0


def test_a_secret_is_read_again_after_its_volume_was_swapped(tmp_path: Path) -> None:
    """A rule about the file would end with the file: the rule is about its directory."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1/token").write_text("old")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")

    def swap_and_read() -> str:
        ready.send(b"x")
        ready.recv(1)
        return (tmp_path / "token").read_text()

    kubelet, ready = socket.socketpair()

    def swap() -> None:
        kubelet.recv(1)
        (tmp_path / "..2").mkdir()
        (tmp_path / "..2/token").write_text("new")
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        (tmp_path / "..1/token").unlink()
        (tmp_path / "..1").rmdir()
        kubelet.send(b"x")

    thread = threading.Thread(target=swap)
    thread.start()
    with kubelet, ready:
        assert confined(roots.to_read(tmp_path / "token"), swap_and_read) == "new"
        thread.join()


def test_a_child_has_the_same_confinement(volume: Path) -> None:
    need_landlock()

    def of_grandchild() -> Any:
        return in_child(lambda: [errno_of(lambda: OUTSIDE["read"](volume)), module.status()["dumpable"]])

    assert confined([], of_grandchild) == ["EACCES", False]


# -- what others may see -------------------------------------------------------------------------------------------


def test_a_neighbour_of_the_same_user_reads_neither_memory_nor_environment() -> None:
    """In a shared PID namespace. As root the test takes another user first, since root may read everything."""

    def become_a_user(*, dumpable: bool) -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(64999)
            os.setuid(64999)
        if dumpable:
            module._prctl(module._PR_SET_DUMPABLE, 1)

    def look(pid: int) -> dict[str, str]:
        become_a_user(dumpable=True)
        files = [f"/proc/{pid}/environ", f"/proc/{pid}/mem"]
        return {file.rpartition("/")[2]: errno_of(functools.partial(os.open, file, os.O_RDONLY)) for file in files}

    for mode, expected in ((roots.OFF, ""), (roots.BEST_EFFORT, "EACCES")):
        ours, theirs = os.pipe()
        sidecar = os.fork()
        if not sidecar:
            become_a_user(dumpable=True)
            module.confine([], mode, "X_CONFINEMENT")
            os.write(theirs, b"x")
            time.sleep(3600)
        assert os.read(ours, 1) == b"x"
        try:
            assert in_child(functools.partial(look, sidecar)) == {"environ": expected, "mem": expected}
        finally:
            os.kill(sidecar, 9)
            os.waitpid(sidecar, 0)
            os.close(ours)
            os.close(theirs)


def test_no_core_file_is_written() -> None:
    assert confined([], lambda: resource.getrlimit(resource.RLIMIT_CORE)) == [0, 0]


# -- where a part is absent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_without_landlock_the_rest_is_in_force_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def absent() -> int:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(landlock, "abi", absent)
    name = errno.errorcode[reason]
    found = confined([], module.status)
    assert found == {"landlock": f"absent: {name}", "openat2": found["openat2"], "dumpable": False, "roots": 0}
    with pytest.raises(AssertionError, match=f"Unavailable: X_CONFINEMENT=required: .*{name}.*best-effort"):
        confined([], module.status, roots.REQUIRED)


def test_a_kernel_that_forbids_every_rename_between_directories_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 1)
    found = confined([DeclaredRoot("/usr", roots.MOVE)], module.status)
    assert found["landlock"] == "absent: ABI 1 has no right to rename into another directory"


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_the_rules_of_an_older_kernel_are_rules_of_this_one(
    monkeypatch: pytest.MonkeyPatch, abi: int, volume: Path
) -> None:
    need_landlock()
    monkeypatch.setattr(landlock, "abi", lambda: abi)

    def read_outside() -> list[Any]:
        return [module.status()["landlock"], errno_of(lambda: OUTSIDE["read"](volume))]

    assert confined([DeclaredRoot(str(volume / "root"), roots.WRITE)], read_outside) == [abi, "EACCES"]


def test_where_it_is_to_be_had_required_is_content() -> None:
    need_landlock()
    assert isinstance(confined([], module.status, roots.REQUIRED)["landlock"], int)


def test_off_changes_nothing(volume: Path) -> None:
    def as_before() -> list[Any]:
        (volume / "outside/file").read_text()
        return [module.status()["landlock"], module.layers()["landlock"]]

    assert confined([], as_before, roots.OFF) == ["absent: X_CONFINEMENT=off", False]


def test_a_process_with_a_second_thread_is_not_confined_by_half() -> None:
    def with_a_thread() -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        module.confine([], roots.BEST_EFFORT, "X_CONFINEMENT")

    with pytest.raises(AssertionError, match="RuntimeError: 2 threads run before the process is confined"):
        in_child(with_a_thread)
