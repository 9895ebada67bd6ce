"""Expansion of globs without recursion, so that neither depth nor circles of links can stop it.

`*`, `?` and `[…]` match within one name. `**` matches any number of directories, also none. As in a shell, a name that
begins with a dot is matched only by a pattern that begins with a dot. Links are followed, but `**` enters each
directory once.
"""

from __future__ import annotations

import fnmatch
import os
from contextlib import suppress

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAGIC = frozenset("*?[")
_ANY_DEPTH = "**"


def glob_paths(pattern: str) -> list[str]:
    """Return the paths that match the pattern, sorted. A directory that cannot be listed matches nothing."""
    *parts, last = [part for part in pattern.split("/") if part] or [""]
    found: Iterable[str] = ["/" if pattern.startswith("/") else ""]
    for part in parts:
        found = [path for base in found for path in _matches(base, part) if os.path.isdir(path)]  # noqa: PTH112 - text
    if last == _ANY_DEPTH:
        found = [path for base in found for below in _directories(base) for path in (below, *_matches(below, "*"))]
        last = ""
    matches = [path for base in found for path in (_matches(base, last) if last else [base])]
    return sorted({path for path in matches if path and os.path.lexists(path)})


def _matches(base: str, part: str) -> Iterator[str]:
    """Yield the paths in a directory that match one part of a pattern; `base` "" is the working directory."""
    if part == _ANY_DEPTH:
        yield from _directories(base)
    elif _MAGIC & set(part):
        hidden = part.startswith(".")
        names = [name for name in _names_in(base) if hidden or not name.startswith(".")]
        yield from (_join(base, name) for name in fnmatch.filter(names, part))
    else:
        yield _join(base, part)


def _directories(base: str) -> Iterator[str]:
    """Yield a directory and every directory below it, each once."""
    below, seen = [base], set()
    while below:
        path = below.pop()
        with suppress(OSError):
            found = os.stat(path or ".")  # noqa: PTH116 - paths are text throughout
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            yield path
            names = sorted(_names_in(path, directories=True), reverse=True)
            below += [_join(path, name) for name in names if not name.startswith(".")]


def _names_in(path: str, *, directories: bool = False) -> list[str]:
    with suppress(OSError), os.scandir(path or ".") as found:
        return [one.name for one in found if not directories or one.is_dir()]
    return []


def _join(base: str, name: str) -> str:
    return os.path.join(base, name)  # noqa: PTH118 - paths are text throughout
