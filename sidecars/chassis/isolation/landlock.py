"""Landlock: rules of this process about files, which hold until it ends, and for each process that it starts.

    abi() ──▶ handled(abi): the rights that the rules are about ──▶ restrict(rules): whatever no rule allows is denied

The kernel checks the rules in addition to owners and modes, at each open, creation, removal and rename. A rule is about
a directory with everything beneath it, also what is mounted or moved there later. Descriptors that are open already
stay usable. No rule is about chmod, chown, utime, stat, chdir, inotify or an O_PATH open (landlock(7)): those are
safe through descriptors alone.

| ABI | Linux | adds |
|---|---|---|
| 1 | 5.13 | 13 rights. A rename into another directory is always denied |
| 2 | 5.19 | REFER: a rename into another directory |
| 3 | 6.2 | TRUNCATE |
| 5 | 6.10 | IOCTL_DEV: ioctl of a device |
| 6 | 6.12 | scopes: abstract sockets and signals of processes outside |
| 9 | 7.1 | RESOLVE_UNIX: connections to unix sockets with a path |

https://docs.kernel.org/userspace-api/landlock.html. The C library has no wrappers. The numbers of the three calls are
the same on x86-64 and arm64.
"""

from __future__ import annotations

import os
import struct

from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.c_library import Long, checked_syscall
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OF_FILES = roots.EXECUTE | roots.WRITE_FILE | roots.READ_FILE | roots.TRUNCATE | roots.IOCTL_DEV  # without a directory

# The rights of ABI 1. No rule allows those among them that make devices, FIFOs and links.
_FIRST = (1 << 13) - 1
_LATER = {2: roots.REFER, 3: roots.TRUNCATE, 5: roots.IOCTL_DEV, 9: roots.RESOLVE_UNIX}
_SCOPES = 0b11  # abstract unix sockets, signals
_ATTRIBUTE_SIZES = {1: 8, 4: 16, 6: 24}  # bytes of `struct landlock_ruleset_attr`, from this ABI on

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag of landlock_create_ruleset
_PATH_BENEATH = 1  # type of a rule


_RULESET = struct.Struct("=QQQ")  # `struct landlock_ruleset_attr` of linux/landlock.h, up to ABI 6: fs, net, scoped
_RULE = struct.Struct("=Qi")  # `struct landlock_path_beneath_attr`, which is packed: access, directory


def handled(abi: int) -> int:
    """Return the rights that rules are about from this ABI on. The kernel answers EINVAL to an unknown one."""
    rights = _FIRST
    for since, more in _LATER.items():
        if abi >= since:
            rights |= more
    return rights


def attribute_size(abi: int) -> int:
    """Return the bytes of the ruleset's attributes that the ABI knows."""
    return max(size for since, size in _ATTRIBUTE_SIZES.items() if abi >= since)


def abi() -> int:
    """Return the version of the kernel's Landlock. Raises OSError.

    ENOSYS: it is not built in, EOPNOTSUPP: it was not enabled at boot, EPERM: the seccomp profile is older than it.
    """
    return checked_syscall(_CREATE_RULESET, None, Long(0), _VERSION)


def restrict(rules: Iterable[tuple[int, int]], version: int) -> None:
    """Deny this process all that the rules do not allow. A rule is an open file or directory, and its rights.

    The caller has set no_new_privs (prctl(2)), and has no other thread: the rules would not hold for that one. Raises
    OSError; then nothing is denied.
    """
    rights = handled(version)
    attributes = _RULESET.pack(rights, 0, _SCOPES)
    ruleset = checked_syscall(_CREATE_RULESET, attributes, Long(attribute_size(version)), 0)
    try:
        for descriptor, access in rules:
            if access & rights:  # a rule without a right is refused with ENOMSG
                checked_syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(access & rights, descriptor), 0)
        checked_syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
