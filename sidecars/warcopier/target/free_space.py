"""The free space of the target, checked before the first byte is written: of its disk, and of memory for a tmpfs."""

from __future__ import annotations

import os

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import io_errors
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from sidecars.warcopier.target.directory import TargetDirectory


def require_space(target: TargetDirectory, size: int, files: int, reserve: int) -> None:
    """Raise IOFailed if the file system, or the memory limit of a file system in memory, has no room.

    `size` is the number of bytes to write into `files` files, `reserve` the bytes that must stay free on a disk.
    """
    _require_disk_space(target, size, files, reserve)
    if not _is_on_block_device(target):
        _require_memory(target, size, files)


def block_size(target: TargetDirectory) -> int:
    """Return the size of the blocks, in bytes, in which the file system gives space to files. Raises IOFailed."""
    with io_errors.writing(target.path):
        return os.statvfs(target.descriptor).f_frsize or 1


def _require_disk_space(target: TargetDirectory, size: int, files: int, reserve: int) -> None:
    with io_errors.writing(target.path):
        disk = os.statvfs(target.descriptor)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and size + reserve > free:
        kept = f" and {reserve} to be left (WARCOPIER_RESERVE)" if reserve else ""
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(target.path)}: it is too full: {size} bytes are needed for"
            f" {_counted(files)}{kept}, {free} are free; make room, or give the volume more",
            code="target-full",
        )
    if disk.f_files and files > disk.f_favail:
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(target.path)}: it is too full: there is room for {disk.f_favail} more files,"
            f" and {files} are needed",
            code="target-full",
        )


def _require_memory(target: TargetDirectory, size: int, files: int) -> None:
    from sidecars.warcopier.target import memory_limit  # noqa: PLC0415 - most targets are on a block device

    with io_errors.writing(target.path):
        if not memory_limit.is_in_memory(target.descriptor):
            return
    size += files * memory_limit.BYTES_PER_FILE
    left = memory_limit.memory_left()
    if left and size + memory_limit.OWN_USE > left.free:
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(target.path)}: it is in memory, where {size} bytes are needed for"
            f" {_counted(files)}, and {memory_limit.OWN_USE} for the copier; the memory limit of the container"
            f" ({left.name}={left.limit}) leaves {left.free}: raise that limit, or give the volume a disk",
            code="memory-volume-full",
        )


def _is_on_block_device(target: TargetDirectory) -> bool:
    with io_errors.writing(target.path):
        return os.major(os.fstat(target.descriptor).st_dev) != 0


def _counted(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"
