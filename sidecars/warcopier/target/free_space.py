"""The room for what is to be published, asked for before the first byte is written."""

from __future__ import annotations

import os

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.warcopier import io_errors
from sidecars.warcopier.target import memory_limit
from sidecars.warcopier.tomcat_names import escaped


def demand(directory: int, path: str, needed: int, files: int, reserve: int) -> None:
    """Raise IOFailed when the file system, or a limit of memory below it, says that the bytes or files will not fit.

    `directory` is the open target, `path` its name for messages, `reserve` the bytes that are to stay free on a disk.
    """
    what = "1 file" if files == 1 else f"{files} files"
    _demand_disk(directory, path, needed, files, reserve, what)
    _demand_memory(directory, path, needed, files, what)


def _demand_disk(directory: int, path: str, needed: int, files: int, reserve: int, what: str) -> None:
    with io_errors.writing(path):
        disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and needed + reserve > free:
        kept = f" and {reserve} to be left (WARCOPIER_RESERVE)" if reserve else ""
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(path)}: it is too full: {needed} bytes are needed for {what}{kept},"
            f" {free} are free; make room, or give the volume more"
        )
    if disk.f_files and files > disk.f_favail:
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(path)}: it is too full: there is room for {disk.f_favail} more files,"
            f" and {files} are needed"
        )


def _demand_memory(directory: int, path: str, needed: int, files: int, what: str) -> None:
    with io_errors.writing(path):
        if not memory_limit.is_in_memory(directory):
            return
    needed += files * memory_limit.EACH_FILE
    room = memory_limit.room()
    if room and needed + memory_limit.OWN_USE > room.free:
        raise IOFailed(
            f"WARCOPIER_TARGET={escaped(path)}: it is in memory, where {needed} bytes are needed for {what}, and"
            f" {memory_limit.OWN_USE} for the copier; the memory limit of the container ({room.name}={room.limit})"
            f" leaves {room.free}: raise that limit, or give the volume a disk"
        )
