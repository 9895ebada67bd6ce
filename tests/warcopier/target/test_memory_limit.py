"""The memory that is left to the container, from the files of cgroup v1 and v2, and file systems in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecars.warcopier.target.memory_limit import MemoryLeft, file_system, is_in_memory, memory_left
from tests.warcopier.support import (
    disk,
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
        (V2, MemoryLeft(54 * MIB, 64 * MIB, V2_LIMIT)),
        (V1, MemoryLeft(54 * MIB, 64 * MIB, V1_LIMIT)),
        (V2 | SWAP, MemoryLeft(74 * MIB, 64 * MIB, V2_LIMIT)),
        (V1 | SWAP, MemoryLeft(74 * MIB, 64 * MIB, V1_LIMIT)),
        (NESTED, MemoryLeft(1 * MIB, 30 * MIB, V2_LIMIT)),
        (V2 | {"/sys/fs/cgroup/memory.current": f"{80 * MIB}\n"}, MemoryLeft(0, 64 * MIB, V2_LIMIT)),
        (V2 | {"/sys/fs/cgroup/memory.max": "max\n"}, None),
        (V1 | {"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        (V2 | {"/sys/fs/cgroup/memory.max": "<garbage>"}, None),
        (V2 | {"/proc/self/cgroup": "", "/sys/fs/cgroup/memory.max": "1"}, MemoryLeft(0, 1, V2_LIMIT)),
        (V2 | {"/proc/self/cgroup": "garbage\n"}, None),
        ({}, None),
    ],
    ids=CASES,
)
def test_file_pages_of_disks_and_swap_are_room_and_the_tightest_limit_counts(
    files: Mapping[str, str], found: MemoryLeft | None
) -> None:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    assert memory_left(read) == found


def test_the_file_system_is_found_by_the_number_of_its_device() -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "23 22 0:45 / /webapps rw,relatime master:2 - tmpfs tmpfs rw,size=65536k\n"
    )
    assert file_system(mounts, os.makedev(0, 45)) == "tmpfs"
    assert file_system(mounts, os.makedev(8, 1)) == "ext4"
    assert file_system(mounts, os.makedev(0, 46)) == ""


@pytest.mark.processes
def test_a_file_system_in_memory_is_found_where_it_is_not_among_our_mounts(tmp_path: Path) -> None:
    with disk("1m", tmp_path / "disk") as place:
        directory = os.open(place, os.O_RDONLY)
        assert file_system(Path("/proc/self/mountinfo").read_text(), os.fstat(directory).st_dev) == ""
        assert is_in_memory(directory)
        os.close(directory)


def test_dev_shm_is_in_memory_and_a_directory_of_the_tests_is_not(in_memory: Path) -> None:
    for place, expected in ((in_memory, True), (Path("/proc"), False)):
        directory = os.open(place, os.O_RDONLY)
        assert is_in_memory(directory) is expected
        os.close(directory)
