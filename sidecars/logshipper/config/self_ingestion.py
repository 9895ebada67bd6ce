"""Whether what we write would be found by our own globs: it would be shipped again, and again."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable


def finds(pattern: str, path: str) -> bool:
    """Whether the glob matches the path: `*` within a name, `**` any number of directories."""
    return _matches(pattern.split("/"), path.split("/"))


def _matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(pattern[1:], path[1:])


def would_be_read(path: str, patterns: Iterable[str], excluded: Iterable[str]) -> bool:
    return any(finds(pattern, path) for pattern in patterns) and not any(
        fnmatch.fnmatchcase(path, pattern) for pattern in excluded
    )
