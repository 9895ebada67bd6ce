"""The words of the suite: an attack, a life in which a sidecar meets several of them, and the layers that hold it.

    Attack  what the planter does, in a sentence and in steps
    Life    one process of a sidecar, with its settings and its attacks
    Layers  which of the defences are in force, and whose user the planter has

In steps and settings `{vol}`, `{state}`, `{sink}`, `{dead}`, `{source}`, `{target}` and `{away}` (which is on another
mount) are the directories of the test, and `{out}` is a directory outside of every root that belongs to the attack.
"""

from __future__ import annotations

import errno
import itertools
import os
from dataclasses import dataclass, field

Step = tuple[str | int, ...]

FINE = frozenset({0})
REFUSES = frozenset({0, 65, 69, 74, 78})  # it may refuse, with a sentence, or do its job


@dataclass(frozen=True)
class Attack:
    """What the planter does. It does `before` before the sidecar starts, and `during` once the sidecar is at work.

    `outside` are the names of files in `{out}` that must neither change nor appear anywhere. `errors` are those with
    which the kernel may refuse a step: then the attack is none.
    """

    name: str
    sentence: str
    before: tuple[Step, ...] = ()
    during: tuple[Step, ...] = ()
    outside: tuple[str, ...] = ("secret.log",)
    same_user_only: bool = False
    by_root: bool = False  # a device: no app can make one, but a volume may have one
    errors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Life:
    """One process of a sidecar and the attacks that it meets. `ends` are the exit codes that are allowed."""

    name: str
    sidecar: str
    attacks: tuple[Attack, ...]
    environ: dict[str, str] = field(default_factory=dict)
    ends: frozenset[int] = FINE
    works: bool = True  # False: nothing is promised for the innocent files, only that nothing escapes
    wars: tuple[str, ...] = ("shop", "other")  # what the copier's source has
    pages: int = 3  # in each WAR


@dataclass(frozen=True)
class Layers:
    """The defences in force. `openat2` is "" where the kernel's is used, else the name of the errno that refuses it.

    Without `beneath` names are opened as if volumes could be trusted: see `unprotected`.
    """

    openat2: str
    landlock: bool
    same_user: bool
    beneath: bool = True

    @property
    def refusal(self) -> int:
        return int(getattr(errno, self.openat2)) if self.openat2 else 0

    def __str__(self) -> str:
        return "-".join(
            (
                f"chain({self.openat2})" if self.openat2 else "openat2",
                "landlock" if self.landlock else "bare",
                "same-user" if self.same_user else "other-user",
            )
        )


EVERY = [
    Layers(openat2, landlock, same_user)
    for openat2, landlock, same_user in itertools.product(("", "EPERM", "ENOSYS"), (True, False), (True, False))
]
FEW = [
    Layers("", landlock=False, same_user=True),
    Layers("EPERM", landlock=False, same_user=False),
    Layers("ENOSYS", landlock=True, same_user=True),
]
"""Each way of resolving alone, without Landlock behind it, and all of the defences. `make hostile` runs all twelve."""


EVERYTHING = os.environ.get("HOSTILE") == "all"


def chosen(life: Life, number: int) -> list[Layers]:
    """Return the layers for the `number`th life. Without HOSTILE=all a life of one attack gets one of them, in turn."""
    if EVERYTHING:
        return EVERY
    return FEW if len(life.attacks) > 1 else [FEW[number % len(FEW)]]
