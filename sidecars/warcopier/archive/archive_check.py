"""The check that the settings ask for, of archives that have a path; what is wrong with one is BadData."""

from __future__ import annotations

from contextlib import contextmanager

from sidecars.chassis.runtime.lifecycle import BadData
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive import verification
from sidecars.warcopier.archive.verification import Limits
from sidecars.warcopier.archive.zip_directory import BadArchive
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sidecars.warcopier.archive.verification import ArchiveSummary, Contents, EntryRanges, EntrySink
    from sidecars.warcopier.archive.zip_directory import ReadAt
    from sidecars.warcopier.settings import Settings

_NAMES = {"war": "safe", "zip": "any"}


class ArchiveCheck:
    """The check that is asked for: what it does, and its name in the record."""

    def __init__(self, settings: Settings) -> None:
        self.limits = Limits(settings.max_entries, settings.max_unpacked_size, settings.max_ratio)
        self._wanted = settings.validate
        self._names = "unpackable" if settings.unpack else _NAMES.get(settings.validate, "")
        limits = f" {self.limits.entries} {self.limits.unpacked} {self.limits.ratio}" if self._names else ""
        self.reads_archives = bool(self._names)
        self.name = f"{self._wanted}{limits}{' unpacked' if settings.unpack else ''}"

    def verify_archive(self, path: str, read: ReadAt, size: int) -> Contents | None:
        """All of an archive, or nothing where no check is asked for. Raises BadData, which names the path."""
        if not self._names:
            return None
        with bad_archive_refused(path):
            return verification.verify_archive(read, size, self.limits, self._names)

    def summarize(self, path: str, read: ReadAt, size: int, block: int = 1) -> ArchiveSummary:
        """What an archive that is to be unpacked declares. Raises BadData, which names the path."""
        with bad_archive_refused(path):
            return verification.summarize(read, size, self.limits, self._names, block)

    def unpacked(self, path: str, read: ReadAt, found: ArchiveSummary, number: int, sink: EntrySink) -> EntryRanges:
        """Prove one part of what was surveyed, and hand it to the sink. Raises BadData, which names the path."""
        with bad_archive_refused(path):
            return verification.verify_part(read, found, found.parts[number], self._names, sink)

    def require_no_overlap(self, path: str, parts: Iterable[EntryRanges]) -> None:
        with bad_archive_refused(path):
            verification.require_no_overlap(parts)


@contextmanager
def bad_archive_refused(path: str) -> Iterator[None]:
    """Raise BadData, which names the path, instead of BadArchive."""
    try:
        yield
    except BadArchive as error:
        raise BadData(f"{escaped(path)}: {error}; nothing was published") from None
