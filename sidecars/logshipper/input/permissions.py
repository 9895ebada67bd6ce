"""Permissions: explain in a sentence why a file cannot be read, and how to change that.

The sentence has the file's mode, owner and group, and the ids of this process. In Kubernetes the cure is a group.
`fsGroup` gives a group to a volume and to all containers of the Pod. `supplementalGroups` gives the containers the
group that the app writes with. Neither helps if the app's umask denies the group to read.
https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass

_READ, _SEARCH = 4, 1  # bits of a class (owner, group, others)

Look = Callable[[str], os.stat_result]
"""Returns the status of a path, as os.stat does. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The part of a file's stat(2) that decides about access."""

    path: str
    mode: int  # permission bits
    owner: int
    group: int
    is_directory: bool


def explain(facts: Facts, uid: int, groups: Collection[int]) -> str:
    """Return the sentence for a file or directory that a process with these ids may not read."""
    kind = "the directory " if facts.is_directory else ""
    ids = ", ".join(map(str, sorted(groups)))
    return (
        f"{kind}{facts.path} has mode {facts.mode:04o}, owner {facts.owner} and group {facts.group}, "
        f"and logshipper runs with uid {uid} and groups {ids}: {_cure(facts, uid, groups)}"
    )


def _cure(facts: Facts, uid: int, groups: Collection[int]) -> str:
    needed = _READ | _SEARCH if facts.is_directory else _READ
    umask = "a umask of 0022 or 0027, not 0077"
    if uid == facts.owner:
        allowed, cure = facts.mode >> 6, "its mode takes the right from its owner; change the mode"
    elif facts.group in groups:
        allowed, cure = facts.mode >> 3, f"its group, which we have, may not read it; let the app write with {umask}"
    elif (facts.mode >> 3) & needed == needed:
        allowed = facts.mode
        cure = (
            f"its group may read it; set supplementalGroups: [{facts.group}] for the Pod, "
            "or an fsGroup that the app's files get"
        )
    else:
        allowed = facts.mode
        cure = f"let the app write with {umask}, and give the Pod an fsGroup"
    if allowed & needed == needed:
        return "that would do; a directory above it, a security module (SELinux, AppArmor) or the volume refuses"
    return cure


def why(path: str, error: OSError, look: Look = os.stat) -> str:
    """Return the sentence for a path at which opening or looking failed with the error."""
    if not isinstance(error, PermissionError):
        return f"{path}: {error.strerror or error}"
    facts = _facts(path, look)
    if facts is None:
        return f"{path}: {error.strerror}"
    return explain(facts, os.geteuid(), {os.getegid(), *os.getgroups()})


def _facts(path: str, look: Look) -> Facts | None:
    """Return the facts of the path, or of the nearest directory above it for which a look is permitted."""
    while True:
        try:
            status = look(path)
        except PermissionError:
            path = os.path.dirname(path)  # noqa: PTH120 - paths are text
            continue
        except OSError:
            return None
        mode = stat.S_IMODE(status.st_mode)
        return Facts(path, mode, status.st_uid, status.st_gid, stat.S_ISDIR(status.st_mode))
