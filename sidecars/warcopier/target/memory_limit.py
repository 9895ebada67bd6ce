"""The memory that this container may still use, which is the room on a volume in memory (tmpfs).

What is written to a memory-backed `emptyDir` counts against the memory limit of the container that writes it, and the
file system does not know that limit: the kernel kills the process without a word. So the limit is asked for before the
first byte, in the files of cgroup v2 (docs.kernel.org/admin-guide/cgroup-v2.html) or v1. File pages of disks count as
used there, but the kernel takes them back when it needs them: they are room. So is swap, where there is any.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadText = Callable[[str], str]
    """Returns the content of a file. Raises OSError."""

EACH_FILE = 1 << 10  # bytes of the kernel's for the inode and the name of a file, which count as well
OWN_USE = 8 << 20  # bytes that the copier itself may take besides: buffers, a second process
_ROOT = "/sys/fs/cgroup"
_IN_MEMORY = ("tmpfs", "ramfs")
_MAGIC_IN_MEMORY = (0x01021994, 0x858458F6)
_NO_LIMIT = 1 << 60  # bytes; v1 writes a number near 2^63, v2 the word "max"


@dataclass(frozen=True)
class Interface:
    """The names of one version of the interface. `group` is where the hierarchy is mounted."""

    group: str
    limit: str
    usage: str
    reclaimable: tuple[str, ...]
    swap_limit: str
    swap_usage: str
    swap_includes_memory: bool


_V2 = Interface(
    _ROOT,
    "memory.max",
    "memory.current",
    ("active_file", "inactive_file", "slab_reclaimable"),
    "memory.swap.max",
    "memory.swap.current",
    swap_includes_memory=False,
)
_V1 = Interface(
    f"{_ROOT}/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
    "memory.memsw.limit_in_bytes",
    "memory.memsw.usage_in_bytes",
    swap_includes_memory=True,
)


@dataclass(frozen=True)
class Room:
    """How many bytes of memory may still be used, and the limit that says so with the name of its file."""

    free: int
    limit: int
    name: str


def is_in_memory(directory: int) -> bool:
    """True if an open directory lies on a file system that keeps its files in memory. Raises OSError."""
    device = os.fstat(directory).st_dev
    if os.major(device):
        return False  # on a block device: the usual case, without reading anything
    with suppress(OSError):
        found = file_system(_read("/proc/self/mountinfo"), device)
        return found in _IN_MEMORY if found else _magic_number(directory) in _MAGIC_IN_MEMORY
    return False


def file_system(mounts: str, device: int) -> str:
    """Return the type of the file system with that device number, from the text of `mountinfo`; "" if none has it."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            return rest.partition(" ")[0]
    return ""


def _magic_number(directory: int) -> int:
    """Return the number of a file system's type (statfs(2)): for one that is mounted, but not where we can see it."""
    import ctypes  # noqa: PLC0415 - as good as never needed, and not cheap to load

    result = ctypes.create_string_buffer(256)  # larger than the struct, whose first field is the number
    if ctypes.CDLL(None).fstatfs(directory, result):
        return 0
    return ctypes.c_ulong.from_buffer(result).value & 0xFFFFFFFF


def room(read: ReadText | None = None) -> Room | None:
    """Return what the tightest limit leaves, of our cgroup and those above it; None where there is no limit."""
    found = list(_rooms(read or _read))
    return min(found, key=lambda one: one.free, default=None)


def _rooms(read: ReadText) -> Iterator[Room]:
    with suppress(OSError, ValueError):
        interface, path = _own_group(read("/proc/self/cgroup"))
        while True:
            with suppress(OSError, ValueError):  # above a container's own group there is nothing to see
                if one := _room(read, f"{interface.group}{path}", interface):
                    yield one
            if not path:
                return
            path = path.rpartition("/")[0]


def _own_group(groups: str) -> tuple[Interface, str]:
    """Return the interface in force and the path of our group below its mount, from `/proc/self/cgroup`."""
    lines = [line.split(":", 2) for line in groups.splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _V1, path.rstrip("/")
    return _V2, next((path for _, controllers, path in lines if not controllers), "").rstrip("/")


def _room(read: ReadText, group: str, interface: Interface) -> Room | None:
    limit = _number(read(f"{group}/{interface.limit}"))
    if limit >= _NO_LIMIT:
        return None
    usage = _number(read(f"{group}/{interface.usage}"))
    stat = dict(line.split(" ", 1) for line in read(f"{group}/memory.stat").splitlines())
    reclaimable = sum(int(stat.get(name, 0)) for name in interface.reclaimable)
    free = limit - usage + reclaimable
    swap = _free_swap(read)
    if swap:
        with suppress(OSError, ValueError):  # without accounting of swap
            left = _number(read(f"{group}/{interface.swap_limit}")) - _number(read(f"{group}/{interface.swap_usage}"))
            if interface.swap_includes_memory:
                left += reclaimable - free
            free += max(0, min(swap, left))
    return Room(max(0, free), limit, interface.limit)


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
