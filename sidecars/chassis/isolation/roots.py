"""The roots of a process: the directories that it may use, and how. No I/O and no system call.

A setting that names a path declares its root together with its type (`SettingType.roots`), so that there is one list:
the settings. `confine` turns the declared roots into rules of Landlock, whose rights these are (linux/landlock.h).
"""

from __future__ import annotations

import os

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

MODES = BEST_EFFORT, REQUIRED, OFF = ("best-effort", "required", "off")  # of the confinement to the roots

# One bit for each right.
EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
RESOLVE_UNIX = 1 << 16

# What a process does beneath a root.
READ = READ_FILE | READ_DIR
REMOVE = READ | REMOVE_FILE
WRITE = REMOVE | WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_DIR
MOVE = WRITE | REFER  # also from one directory into another
LISTEN = MAKE_SOCK | REMOVE_FILE | RESOLVE_UNIX
OVERWRITE = READ_FILE | WRITE_FILE | TRUNCATE  # one file that is there

_MAGIC = "*?["


@dataclass(frozen=True)
class DeclaredRoot:
    """A path of the operator, and the rights that the process needs beneath it.

    If the path is no directory, the root is the directory that it lies in: a file of a ConfigMap or Secret is replaced
    by a new one, and a rule about the file would end with the old one. `alone` makes the rule about the path
    as it is at the start. `made`: the directory is made if it is missing, because the process would make it, too.
    """

    path: str
    access: int
    made: bool = False
    alone: bool = False


def to_read(path: str | os.PathLike[str]) -> Iterable[DeclaredRoot]:
    """Return the root of a file that is read, now or after it was replaced, or of a directory with all below it."""
    return (DeclaredRoot(os.fspath(path), READ),)


def to_write(path: str | os.PathLike[str]) -> Iterable[DeclaredRoot]:
    """Return the root of a directory in which files are made, written, renamed and removed."""
    return (DeclaredRoot(os.fspath(path), WRITE, made=True),)


def to_listen(path: str) -> Iterable[DeclaredRoot]:
    """Return the root of a unix socket that is made, and removed if a killed predecessor has left it."""
    return (DeclaredRoot(path, LISTEN),)


def to_connect(path: str) -> Iterable[DeclaredRoot]:
    """Return the root of a unix socket that another process makes, now or later, and to which we connect."""
    return (DeclaredRoot(path, RESOLVE_UNIX),)


def to_execute(program: str) -> Iterable[DeclaredRoot]:
    """Return the roots of a program of the system that is started, with the loader of its libraries."""
    return [DeclaredRoot(path, READ | EXECUTE) for path in (program, "/usr", "/lib", "/lib64")]


def glob_base(pattern: str) -> str:
    """Return the deepest path that a glob names in full: `/logs/app` for `/logs/app/*.log`."""
    first = min((pattern.index(char) for char in _MAGIC if char in pattern), default=-1)
    if first < 0:
        return pattern
    directory, slash, _ = pattern[:first].rpartition("/")
    return directory or slash or "."
