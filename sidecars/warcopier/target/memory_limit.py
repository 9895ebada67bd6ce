"""The memory that this container may still use: the free space of a target in memory (tmpfs).

Files in a memory-backed `emptyDir` count against the memory limit of the container that writes them. The file system
does not know that limit, and the kernel kills a process that exceeds it, without a message. So the limit is read before
the first byte is written, from the files of cgroup v2 (docs.kernel.org/admin-guide/cgroup-v2.html) or v1. The page
cache of disks counts as used there, but the kernel takes it back on demand, so it counts as free here. Free swap does
too.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadText = Callable[[str], str]
    """Returns the content of a file. Raises OSError."""

BYTES_PER_FILE = 1 << 10  # of kernel memory, for the inode and the name of a file; they count against the limit
OWN_USE = 8 << 20  # bytes that the copier itself may use besides: buffers, a second process
_ROOT = "/sys/fs/cgroup"
_IN_MEMORY = ("tmpfs", "ramfs")
_MAGIC_IN_MEMORY = (0x01021994, 0x858458F6)  # TMPFS_MAGIC, RAMFS_MAGIC
_NO_LIMIT = 1 << 60  # bytes; v1 writes a number near 2^63, v2 the word "max"


@dataclass(frozen=True)
class CgroupInterface:
    """The file names of one cgroup version. `mount` is the directory where its hierarchy is mounted."""

    mount: str
    limit: str
    usage: str
    reclaimable: tuple[str, ...]
    swap_limit: str
    swap_usage: str
    swap_includes_memory: bool


_V2 = CgroupInterface(
    _ROOT,
    "memory.max",
    "memory.current",
    ("active_file", "inactive_file", "slab_reclaimable"),
    "memory.swap.max",
    "memory.swap.current",
    swap_includes_memory=False,
)
_V1 = CgroupInterface(
    f"{_ROOT}/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
    "memory.memsw.limit_in_bytes",
    "memory.memsw.usage_in_bytes",
    swap_includes_memory=True,
)


@dataclass(frozen=True)
class MemoryLeft:
    """The bytes of memory that may still be used, with the limit behind it and the name of its file."""

    free: int
    limit: int
    name: str


def is_in_memory(directory: int) -> bool:
    """True if the file system of an open directory keeps its files in memory. Raises OSError."""
    device = os.fstat(directory).st_dev
    with suppress(OSError):
        found = file_system(_read("/proc/self/mountinfo"), device)
        return found in _IN_MEMORY if found else _magic_number(directory) in _MAGIC_IN_MEMORY
    return False


def file_system(mounts: str, device: int) -> str:
    """Return the type of the file system with this device number, from the text of `mountinfo`; "" if none has it."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            return rest.partition(" ")[0]
    return ""


def _magic_number(directory: int) -> int:
    """Return the magic number of a file system (statfs(2)), for one that our mount namespace does not show."""
    import ctypes  # noqa: PLC0415 - rarely needed, and slow to load

    result = ctypes.create_string_buffer(256)  # larger than the struct, whose first field is the number
    if ctypes.CDLL(None).fstatfs(directory, result):
        return 0
    return ctypes.c_ulong.from_buffer(result).value & 0xFFFFFFFF


def memory_left(read: ReadText | None = None) -> MemoryLeft | None:
    """Return the memory that the tightest limit leaves, of our cgroup and its ancestors; None if there is no limit."""
    found = list(_of_all_groups(read or _read))
    return min(found, key=lambda left: left.free, default=None)


def _of_all_groups(read: ReadText) -> Iterator[MemoryLeft]:
    with suppress(OSError, ValueError):
        interface, path = _own_group(read("/proc/self/cgroup"))
        while True:
            with suppress(OSError, ValueError):  # ancestors of a container's own cgroup are not visible in it
                if left := _of_group(read, f"{interface.mount}{path}", interface):
                    yield left
            if not path:
                return
            path = path.rpartition("/")[0]


def _own_group(groups: str) -> tuple[CgroupInterface, str]:
    """Return the interface in force and the path of our cgroup below its mount, from `/proc/self/cgroup`."""
    lines = [line.split(":", 2) for line in groups.splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _V1, path.rstrip("/")
    return _V2, next((path for _, controllers, path in lines if not controllers), "").rstrip("/")


def _of_group(read: ReadText, group: str, interface: CgroupInterface) -> MemoryLeft | None:
    """Return the memory that the limit of one cgroup leaves; None if it has no limit. Raises OSError or ValueError."""
    limit = _number(read(f"{group}/{interface.limit}"))
    if limit >= _NO_LIMIT:
        return None
    usage = _number(read(f"{group}/{interface.usage}"))
    stat = dict(line.split(" ", 1) for line in read(f"{group}/memory.stat").splitlines())
    reclaimable = sum(int(stat.get(name, 0)) for name in interface.reclaimable)
    free = limit - usage + reclaimable
    swap = _free_swap(read)
    if swap:
        with suppress(OSError, ValueError):  # the kernel does not account for swap
            left = _number(read(f"{group}/{interface.swap_limit}")) - _number(read(f"{group}/{interface.swap_usage}"))
            if interface.swap_includes_memory:
                left += reclaimable - free
            free += max(0, min(swap, left))
    return MemoryLeft(max(0, free), limit, interface.limit)


def _free_swap(read: ReadText) -> int:
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("SwapFree:"):
            return int(line.split()[1]) * 1024
    return 0


def _number(text: str) -> int:
    return _NO_LIMIT if text.strip() == "max" else int(text)


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - paths are text throughout
        return file.read()
