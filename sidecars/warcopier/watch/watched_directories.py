"""The directories to watch: an event in one of them may mean that the source has changed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sidecars.warcopier.source import listing

if TYPE_CHECKING:
    from sidecars.warcopier.settings import Settings

    Identity = tuple[int, int]
    """Device and inode of a directory."""


def watched_directories(settings: Settings) -> dict[str, Identity]:
    """Return the directories to watch and the identity of each.

    The kernel watches a directory, not its name. If another directory gets the name, its identity differs, and the
    watch must begin again.
    """
    found = {}
    for path in {listing.nearest_directory(path) for part in settings.source for path in _directories_of(part)}:
        with suppress(OSError):
            directory = os.stat(path)  # noqa: PTH116 - paths are text throughout
            found[path] = (directory.st_dev, directory.st_ino)
    return found


def _directories_of(part: str) -> set[str]:
    """Return the directories in which something happens if the files of one part of WARCOPIER_SOURCE change.

    Some of them may not exist. The directory of a link counts, and also that of its destination: either the link or its
    destination may be replaced.
    """
    found = {part} if os.path.isdir(part) else {_parent(part)}  # noqa: PTH112 - paths are text throughout
    if os.path.islink(part):  # noqa: PTH114 - paths are text throughout
        found.add(_parent(part))
    with suppress(OSError):
        for path in listing.war_paths(part):
            found |= {os.path.dirname(path), os.path.dirname(listing.resolve_links(path))}  # noqa: PTH120 - text
    if listing.is_glob(part) and not os.path.lexists(part):
        found.add(listing.glob_root(part))
    return {listing.resolve_links(path) for path in found} | found


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."  # noqa: PTH120 - paths are text throughout
