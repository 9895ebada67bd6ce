"""Confine this process to its roots: once, after the settings are known, and before its event loop or a thread.

| step | so that |
|---|---|
| PR_SET_DUMPABLE 0 (prctl(2)) | a process of our user that sees our pid reads neither our memory nor `/proc/<pid>` |
| RLIMIT_CORE 0 | no core file holds a secret |
| no_new_privs | a program that we start gains nothing; Landlock demands it |
| Landlock | a defect of ours, or a planted link, opens, makes, renames or removes nothing outside the declared roots |

Each step holds alone. A step that the kernel or the seccomp profile refuses is told in one log line, in `/status` and
by `sidecar_confinement`. With `required` the process refuses to start instead. Names on shared volumes are safe without
Landlock, too: see `beneath`.

A child that is forked has all of it. exec resets PR_SET_DUMPABLE, so a program that we start confines itself again.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from contextlib import suppress

from sidecars.chassis.isolation import landlock, openat2, places, roots
from sidecars.chassis.isolation.beneath import PATH_ONLY
from sidecars.chassis.isolation.c_library import Long, function
from sidecars.chassis.isolation.roots import BEST_EFFORT, OFF, REQUIRED
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import Unavailable
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sidecars.chassis.isolation.roots import DeclaredRoot

log = logs.get("confinement")

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 3, 4, 38
_REFER_SINCE = 2  # ABI
_TASKS = "/proc/self/task"
_NOTHING = Long(0)


class _State:
    """The confinement that is in force in this process. There is one."""

    def __init__(self) -> None:
        self.landlock = 0  # the ABI; 0 if it is absent
        self.absence = "this process was not confined"
        self.roots = 0


_state = _State()


def confine(declared: Iterable[DeclaredRoot], mode: str, variable: str) -> None:
    """Confine this process. `variable` is the setting that has the mode, for messages.

    Raises Unavailable if the mode is `required` and a part cannot be had, and RuntimeError if the process has a second
    thread already: Landlock would not hold for that one.
    """
    if mode == OFF:
        _state.absence = f"{variable}={OFF}"
        return
    if (threads := _threads()) > 1:
        raise RuntimeError(f"{threads} threads run before the process is confined")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _restrict([*declared, *places.own_roots()])
    if mode == REQUIRED and (missing := _missing()):
        raise Unavailable(
            f"{variable}={REQUIRED}: {missing}: run it on another node, or set {variable}={BEST_EFFORT}",
            code="confinement-missing",
        )


def log_status() -> None:
    """Log the confinement in force: one line, a warning if the roots are not."""
    found = status()
    if _state.landlock:
        log.info("confined to the roots of the settings", **found)
    else:
        log.warning("not confined to the roots of the settings", code="not-confined", **found)


def status() -> dict[str, Any]:
    """Return the confinement in force, for `/status`. `roots`: the number of directories and files with a rule."""
    absent = openat2.absence()
    return {
        "landlock": _state.landlock or f"absent: {_state.absence}",
        "openat2": f"absent: {absent}" if absent else True,
        "dumpable": _is_dumpable(),
        "roots": _state.roots,
    }


def layers() -> dict[str, bool]:
    """Return True for each layer that is in force, for the metric `sidecar_confinement`."""
    return {
        "landlock": bool(_state.landlock),
        "openat2": not openat2.absence(),
        "not_dumpable": not _is_dumpable(),
    }


def _missing() -> str:
    if not _state.landlock:
        return f"the kernel gives this process no Landlock ({_state.absence})"
    return "other processes of this user may read this one" if _is_dumpable() else ""


def _is_dumpable() -> bool:
    return bool(_prctl(_PR_GET_DUMPABLE, 0))


def _prctl(option: int, value: int) -> int:
    """Call prctl(2). Return its result; 1, which means dumpable, on a system without it."""
    try:
        return function("prctl")(option, Long(value), _NOTHING, _NOTHING, _NOTHING)
    except OSError:  # only Linux has it
        return 1


def _threads() -> int:
    try:
        return len(os.listdir(_TASKS))  # noqa: PTH208 - a job does not load pathlib
    except OSError:  # no /proc
        return 1


# -- the rules ----------------------------------------------------------------------------------------------------


class _Rules:
    """One rule for each place, by its device and inode: an open descriptor, and the rights there."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[int, int], tuple[int, int]] = {}

    def add(self, path: str, access: int) -> None:
        """Add rights at an existing path. A path that vanishes, or may not be looked up, is none that we could use."""
        with suppress(OSError):
            descriptor = os.open(path, PATH_ONLY | os.O_CLOEXEC)
            found = os.fstat(descriptor)
            place = (found.st_dev, found.st_ino)
            if place in self._by_place:
                os.close(descriptor)
                descriptor, before = self._by_place[place]
                access |= before
            self._by_place[place] = (descriptor, access if stat.S_ISDIR(found.st_mode) else access & landlock.OF_FILES)

    def all(self) -> list[tuple[int, int]]:
        return list(self._by_place.values())

    def close(self) -> None:
        for descriptor, _ in self._by_place.values():
            os.close(descriptor)


def _restrict(declared: list[DeclaredRoot]) -> None:
    """Set the rules, or note why there are none."""
    if not PATH_ONLY:  # not Linux
        _state.absence = errno.errorcode[errno.ENOSYS]
        return
    rules = _Rules()
    try:
        version = landlock.abi()
        if version < _REFER_SINCE and any(root.access & roots.REFER for root in declared):
            # There Landlock denies every rename into another directory, and no rule can allow it.
            _state.absence = "ABI 1 has no right to rename into another directory"
            return
        for root in declared:
            for path in places.places(root):
                rules.add(path, root.access)
        landlock.restrict(rules.all(), version)
    except OSError as error:
        _state.absence = errno.errorcode.get(error.errno or 0, str(error))
    else:
        _state.landlock, _state.roots = version, len(rules.all())
    finally:
        rules.close()
