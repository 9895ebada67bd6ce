"""Matching of a path with a glob as texts, without a look at any file: for settings and for paths of a saved state."""

from __future__ import annotations

import fnmatch


def matches(pattern: str, path: str) -> bool:
    """Return True if the glob matches the path: `*` within a name, `**` any number of directories."""
    return _match_names(pattern.split("/"), path.split("/"))


def looks_beside(pattern: str, path: str) -> bool:
    """Return True if the path is in a directory in which the glob matches names: a rotated file may be there."""
    parts = pattern.split("/")
    if parts[-1] != "**":
        parts[-1] = "*"
    names = path.split("/")
    return not {".", ".."}.intersection(names) and _match_names(parts, names)


def _match_names(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_match_names(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _match_names(pattern[1:], path[1:])
