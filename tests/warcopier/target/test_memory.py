"""A target in memory: what does not fit below the container's limit is told, before the kernel kills anybody."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sidecars.warcopier.target.memory import EACH_FILE, OWN_USE, Room, file_system, is_in_memory, room
from tests.warcopier.archives import packed
from tests.warcopier.support import (
    UNPACK,
    Copier,
    deployed,
    disk,
    entries,
    leftovers,
    names,
    published,
    refused,
    sha256,
    tree_digest,
    war,
)

MIB = 1 << 20
NO_SWAP = {"/proc/meminfo": "MemTotal: 99 kB\nSwapFree:        0 kB\n"}
V2 = {
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/memory.max": f"{64 * MIB}\n",
    "/sys/fs/cgroup/memory.current": f"{20 * MIB}\n",
    "/sys/fs/cgroup/memory.stat": f"anon {4 * MIB}\nfile {15 * MIB}\nshmem {5 * MIB}\n"
    f"inactive_file {7 * MIB}\nactive_file {2 * MIB}\nslab_reclaimable {MIB}\n",
    **NO_SWAP,
}
V1 = {
    "/proc/self/cgroup": "9:name=systemd:/docker/1\n4:cpu,memory:/docker/1\n0::/docker/1\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{64 * MIB}\n",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes": f"{20 * MIB}\n",
    "/sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {7 * MIB}\ntotal_active_file {3 * MIB}\n",
    **NO_SWAP,
}
SWAP = {
    "/proc/meminfo": "SwapFree: 102400 kB\n",
    "/sys/fs/cgroup/memory.swap.max": f"{30 * MIB}\n",
    "/sys/fs/cgroup/memory.swap.current": f"{10 * MIB}\n",
    "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": f"{94 * MIB}\n",
    "/sys/fs/cgroup/memory/memory.memsw.usage_in_bytes": f"{30 * MIB}\n",
}
V2_LIMIT, V1_LIMIT = "memory.max", "memory.limit_in_bytes"
NESTED = {
    **{path.replace("cgroup/", "cgroup/pod/app/"): text for path, text in V2.items() if "/sys" in path},
    **V2,
    "/proc/self/cgroup": "0::/pod/app\n",
    "/sys/fs/cgroup/pod/memory.max": f"{30 * MIB}\n",
    "/sys/fs/cgroup/pod/memory.current": f"{29 * MIB}\n",
    "/sys/fs/cgroup/pod/memory.stat": "",
}
CASES = (
    "v2",
    "v1",
    "v2 swap",
    "v1 swap",
    "nested",
    "over",
    "v2 none",
    "v1 none",
    "garbage",
    "empty",
    "odd",
    "no files",
)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (V2, Room(54 * MIB, 64 * MIB, V2_LIMIT)),
        (V1, Room(54 * MIB, 64 * MIB, V1_LIMIT)),
        (V2 | SWAP, Room(74 * MIB, 64 * MIB, V2_LIMIT)),
        (V1 | SWAP, Room(74 * MIB, 64 * MIB, V1_LIMIT)),
        (NESTED, Room(1 * MIB, 30 * MIB, V2_LIMIT)),
        (V2 | {"/sys/fs/cgroup/memory.current": f"{80 * MIB}\n"}, Room(0, 64 * MIB, V2_LIMIT)),
        (V2 | {"/sys/fs/cgroup/memory.max": "max\n"}, None),
        (V1 | {"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        (V2 | {"/sys/fs/cgroup/memory.max": "<garbage>"}, None),
        (V2 | {"/proc/self/cgroup": "", "/sys/fs/cgroup/memory.max": "1"}, Room(0, 1, V2_LIMIT)),
        (V2 | {"/proc/self/cgroup": "garbage\n"}, None),
        ({}, None),
    ],
    ids=CASES,
)
def test_file_pages_of_disks_and_swap_are_room_and_the_tightest_limit_counts(
    files: Mapping[str, str], found: Room | None
) -> None:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    assert room(read) == found


def test_the_file_system_is_found_by_the_number_of_its_device() -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "23 22 0:45 / /webapps rw,relatime master:2 - tmpfs tmpfs rw,size=65536k\n"
    )
    assert file_system(mounts, os.makedev(0, 45)) == "tmpfs"
    assert file_system(mounts, os.makedev(8, 1)) == "ext4"
    assert file_system(mounts, os.makedev(0, 46)) == ""


def test_a_file_system_in_memory_is_found_where_it_is_not_among_our_mounts(tmp_path: Path) -> None:
    with disk("1m", tmp_path / "disk") as place:
        directory = os.open(place, os.O_RDONLY)
        assert file_system(Path("/proc/self/mountinfo").read_text(), os.fstat(directory).st_dev) == ""
        assert is_in_memory(directory)
        os.close(directory)


# -- a real limit -----------------------------------------------------------------------------------------------------


LIMIT = 32 * MIB
LARGE = war(size=LIMIT, compression=zipfile.ZIP_STORED)
SMALL = war(size=4 * MIB, compression=zipfile.ZIP_STORED)


class Group:
    """A real cgroup of this machine with a memory limit; who calls `join` is in it."""

    def __init__(self, limit: int) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        self.place = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / f"warcopier-test-{os.getpid()}"
        self.place.mkdir()
        (self.place / (V1_LIMIT if v1.is_dir() else V2_LIMIT)).write_text(str(limit))

    def join(self) -> None:
        (self.place / "cgroup.procs").write_text(str(os.getpid()))


@contextlib.contextmanager
def limited(limit: int) -> Iterator[Group]:
    """The memory of a group is charged to its parent where files in memory outlive it, so those go first."""
    group = Group(limit)
    try:
        yield group
    finally:
        group.place.rmdir()


@pytest.fixture
def in_memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="warcopier-") as folder:
        yield Path(folder)


def test_dev_shm_is_in_memory_and_a_directory_of_the_tests_is_not(in_memory: Path) -> None:
    for place, expected in ((in_memory, True), (Path("/proc"), False)):
        directory = os.open(place, os.O_RDONLY)
        assert is_in_memory(directory) is expected
        os.close(directory)


@pytest.mark.parametrize("unpack", ["false", "true"])
def test_a_war_that_does_not_fit_into_the_memory_limit_is_refused_and_one_that_does_is_published(
    copier: Copier, in_memory: Path, unpack: str
) -> None:
    settings = {"WARCOPIER_TARGET": str(in_memory), "WARCOPIER_UNPACK": unpack}
    with limited(LIMIT) as group:
        copier.offer(shop=LARGE)
        outcome = copier.run_prepared(group.join, **settings)
        refused(outcome, 74, f"WARCOPIER_TARGET={in_memory}: it is in memory", f"={LIMIT}) leaves", "raise that limit")
        assert f"{OWN_USE} for the copier" in outcome.last
        assert names(in_memory) == []
        copier.offer(shop=SMALL)
        published(copier.run_prepared(group.join, **settings))
        name, digest = ("shop", tree_digest(entries(SMALL))) if unpack == "true" else ("shop.war", sha256(SMALL))
        assert deployed(in_memory) == {name: digest}
        assert leftovers(in_memory) == []


def test_many_empty_files_take_memory_too(copier: Copier, in_memory: Path) -> None:
    copier.offer(shop=packed({f"{number}": b"" for number in range(LIMIT // EACH_FILE)}, zipfile.ZIP_STORED))
    with limited(LIMIT) as group:
        outcome = copier.run_prepared(group.join, **UNPACK, WARCOPIER_TARGET=str(in_memory))
        refused(outcome, 74, f"WARCOPIER_TARGET={in_memory}: it is in memory", f"{LIMIT} bytes are needed for")
    assert names(in_memory) == []


def test_a_limit_of_memory_is_no_limit_of_a_disk(copier: Copier) -> None:
    copier.offer(shop=LARGE)
    with limited(LIMIT) as group:
        published(copier.run_prepared(group.join))
    assert deployed(copier.target) == {"shop.war": sha256(LARGE)}


def test_what_is_in_memory_without_a_limit_is_published(copier: Copier, in_memory: Path) -> None:
    copier.offer(shop=war(size=2 * MIB))
    published(copier.run(WARCOPIER_TARGET=str(in_memory)))
    copier.offer(shop=war(size=2 * MIB, seed=1))
    published(copier.run(WARCOPIER_TARGET=str(in_memory), **UNPACK))
