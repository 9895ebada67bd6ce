"""Self-ingestion: a file that logshipper writes and that one of its own globs matches would be shipped for ever."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from sidecars.logshipper.volumes.path_matching import matches


def is_tailed(path: str, patterns: Iterable[str], excluded: Iterable[str]) -> bool:
    """Return True if an input with these globs would tail the path."""
    return any(matches(pattern, path) for pattern in patterns) and not any(
        fnmatch.fnmatchcase(path, pattern) for pattern in excluded
    )
