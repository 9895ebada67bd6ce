"""Unlisted files: known files that the last listings did not have. One of them proves nothing. Pure.

A directory that is listed while files are renamed in it may leave some of them out. So the state of a compressed file
is kept until the listings have not had it for ROTATE_WAIT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sidecars.logshipper.model.file_key import FileKey


class Unlisted:
    """The files that are unlisted now. Owned by `CompressedCopies`."""

    def __init__(self, wait: float) -> None:
        self._wait = wait  # seconds
        self._since: dict[FileKey, float] = {}

    def __contains__(self, key: FileKey) -> bool:
        return key in self._since

    def note(self, known: Iterable[FileKey], listed: Collection[FileKey], now: float) -> list[FileKey]:
        """Note a listing. Return the known files that were unlisted for too long: they are gone."""
        self._since = {key: self._since.get(key, now) for key in known if key not in listed}
        return [key for key, since in self._since.items() if since + self._wait <= now]

    def add(self, key: FileKey, now: float) -> None:
        """Note that a listed file is not where it was listed."""
        self._since.setdefault(key, now)
