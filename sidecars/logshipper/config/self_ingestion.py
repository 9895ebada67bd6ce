"""Self-ingestion: a file that logshipper writes and that one of its own globs matches would be shipped for ever."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable


def is_tailed(path: str, patterns: Iterable[str], excluded: Iterable[str]) -> bool:
    """Return True if an input with these globs would tail the path."""
    return any(matches(pattern, path) for pattern in patterns) and not any(
        fnmatch.fnmatchcase(path, pattern) for pattern in excluded
    )


def matches(pattern: str, path: str) -> bool:
    """Return True if the glob matches the path: `*` within a name, `**` any number of directories."""
    return _match_names(pattern.split("/"), path.split("/"))


def _match_names(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_match_names(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _match_names(pattern[1:], path[1:])
