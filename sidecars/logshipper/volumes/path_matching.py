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
    """Follow all places of the path at once: a search that goes back takes exponential time with several `**`."""
    places = {0}
    for name in pattern:
        if name == "**":
            places = set(range(min(places), len(path) + 1))
        else:
            places = {at + 1 for at in places if at < len(path) and fnmatch.fnmatchcase(path[at], name)}
        if not places:
            return False
    return len(path) in places
