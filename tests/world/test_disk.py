"""The disk of the world against a real file system: the same calls give the same results and the same errors.

Without crashes and without faults: those are the world's own. A call of each kind that the sidecars make is here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import examples
from tests.world import disk_calls
from tests.world import kernel as kernels
from tests.world.disk import Disk
from tests.world.kernel import Kernel
from tests.world.universe import Universe

VOLUME = "volume"
_CLOSED = 90_000  # a number that no descriptor has on either disk
NAMES = ["a", "b", "c", "d"]
FLAGS = [
    os.O_RDONLY,
    os.O_RDONLY | os.O_DIRECTORY,
    os.O_RDWR,
    os.O_RDWR | os.O_CREAT,
    os.O_RDWR | os.O_CREAT | os.O_APPEND,
    os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    os.O_WRONLY | os.O_APPEND,
    os.O_RDWR | os.O_CREAT | os.O_TRUNC,
]


class Files:
    """The calls of one of the two disks, and the descriptors that are open there."""

    def __init__(self, root: str, calls: Callable[[str], Any]) -> None:
        self.calls = calls
        self.open: list[int] = [calls("open")(root, os.O_RDONLY | os.O_DIRECTORY)]

    def do(self, call: str, *arguments: Any) -> Any:
        """Return the result of a call in a form that both disks share, or the name of its error."""
        try:
            return getattr(self, call)(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def at(self, index: int) -> int:
        """Return the descriptor with that index, which may be closed already. Index 0 is the root."""
        return self.open[index % len(self.open)]

    # -- names -----------------------------------------------------------------------------------------------------

    def create(self, folder: int, name: str, flags: int) -> str:
        self.open.append(self.calls("open")(name, flags, 0o644, dir_fd=self.at(folder)))
        return "opened"

    def mkdir(self, folder: int, name: str) -> Any:
        return self.calls("mkdir")(name, 0o755, dir_fd=self.at(folder))

    def unlink(self, folder: int, name: str) -> Any:
        return self.calls("unlink")(name, dir_fd=self.at(folder))

    def rename(self, folder: int, old: str, new: str) -> Any:
        return self.calls("rename")(old, new, src_dir_fd=self.at(folder), dst_dir_fd=self.at(folder))

    def link(self, folder: int, old: str, new: str) -> Any:
        place = self.at(folder)
        return self.calls("link")(old, new, src_dir_fd=place, dst_dir_fd=place, follow_symlinks=False)

    def stat(self, folder: int, name: str) -> Any:
        return self._shown(self.calls("stat")(name, dir_fd=self.at(folder), follow_symlinks=False))

    def readlink(self, folder: int, name: str) -> Any:
        return self.calls("readlink")(name, dir_fd=self.at(folder))

    def scandir(self, folder: int) -> Any:
        with self.calls("scandir")(self.at(folder)) as entries:
            return sorted(
                (
                    entry.name,
                    entry.is_dir(follow_symlinks=False),
                    entry.is_file(follow_symlinks=False),
                    entry.is_symlink(),
                    self._shown(entry.stat(follow_symlinks=False)),
                )
                for entry in entries
            )

    # -- files -----------------------------------------------------------------------------------------------------

    def close(self, file: int) -> Any:
        index = file % len(self.open)
        if index:  # the root stays open
            self.calls("close")(self.open[index])
            self.open[index] = _CLOSED  # the numbers of a real disk are used again, those of the world are not

    def dup(self, file: int) -> str:
        self.open.append(self.calls("dup")(self.at(file)))
        return "opened"

    def fstat(self, file: int) -> Any:
        return self._shown(self.calls("fstat")(self.at(file)))

    def write(self, file: int, data: bytes) -> Any:
        return self.calls("write")(self.at(file), data)

    def read(self, file: int, size: int) -> Any:
        return self.calls("read")(self.at(file), size)

    def pread(self, file: int, size: int, offset: int) -> Any:
        return self.calls("pread")(self.at(file), size, offset)

    def ftruncate(self, file: int, size: int) -> Any:
        return self.calls("ftruncate")(self.at(file), size)

    def fsync(self, file: int) -> Any:
        return self.calls("fsync")(self.at(file))

    def flock(self, file: int) -> Any:
        return self.calls("flock")(self.at(file), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end(self) -> None:
        for number in self.open:
            if number != _CLOSED:
                self.calls("close")(number)

    def _shown(self, status: os.stat_result) -> tuple[Any, ...]:
        """Return what is the same on each file system: a directory has a size and a number of links of its own."""
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        return (kind, mode) if kind == stat.S_IFDIR else (kind, mode, status.st_nlink, status.st_size)


_folders, _files = st.integers(0, 4), st.integers(0, 8)
_names = st.sampled_from(NAMES)
_data = st.binary(max_size=6)
CALLS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "create": (_folders, _names, st.sampled_from(FLAGS)),
    "mkdir": (_folders, _names),
    "unlink": (_folders, _names),
    "rename": (_folders, _names, _names),
    "link": (_folders, _names, _names),
    "stat": (_folders, _names),
    "readlink": (_folders, _names),
    "scandir": (_folders,),
    "close": (_files,),
    "dup": (_files,),
    "fstat": (_files,),
    "write": (_files, _data),
    "read": (_files, st.integers(0, 9)),
    "pread": (_files, st.integers(0, 9), st.integers(0, 9)),
    "ftruncate": (_files, st.integers(0, 9)),
    "fsync": (_files,),
    "flock": (_files,),
}
_steps = st.one_of(*[st.tuples(st.just(call), *arguments) for call, arguments in CALLS.items()])


@contextmanager
def both() -> Iterator[tuple[Files, Files]]:
    """Yield an empty directory of the world, and one of the real file system."""
    before = kernels._kernel
    kernel = Kernel(Universe(0))
    kernel.disk = Disk(kernel.universe, VOLUME)
    kernels.boot(kernel)
    mask = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            real = Files(folder, lambda name: fcntl.flock if name == "flock" else getattr(os, name))
            ours = Files(f"/{VOLUME}", lambda name: disk_calls.CALLS[name])
            yield ours, real
            ours.end()
            real.end()
    finally:
        os.umask(mask)
        kernels.boot(before)


@examples(150)
@given(st.lists(_steps, max_size=30))
def test_the_same_calls_give_the_same_results_and_errors_as_on_a_real_disk(steps: list[tuple[Any, ...]]) -> None:
    with both() as (ours, real):
        done = []
        for step in steps:
            done.append(step)
            assert ours.do(*step) == real.do(*step), done


@pytest.mark.parametrize("call", CALLS)
def test_each_call_has_a_case_that_succeeds(call: str) -> None:
    """So the comparison is not one of errors alone."""
    arguments = {
        "create": (0, "b", os.O_RDWR | os.O_CREAT),
        "rename": (0, "a", "b"),
        "link": (0, "a", "b"),
        "mkdir": (0, "b"),
        "write": (1, b"text"),
        "read": (1, 4),
        "pread": (1, 4, 0),
        "ftruncate": (1, 2),
        "scandir": (0,),
        "readlink": (0, "a"),
    }
    by_name = ("unlink", "stat")
    with both() as pair:
        for each in pair:
            assert each.do("create", 0, "a", os.O_RDWR | os.O_CREAT) == "opened"
        results = [each.do(call, *arguments.get(call, (0, "a") if call in by_name else (1,))) for each in pair]
    assert results[0] == results[1]
    assert not isinstance(results[0], str) or results[0] == "opened" or call == "readlink"
