"""The check that the settings select, for archives with a path: a bad archive becomes BadData, which names the path."""

from __future__ import annotations

from contextlib import contextmanager

from sidecars.chassis.runtime.lifecycle import BadData
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive import verification
from sidecars.warcopier.archive.verification import Limits
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.archive.verification import ArchiveSummary, Contents, EntryRanges, EntrySink
    from sidecars.warcopier.io_errors import ReadAt
    from sidecars.warcopier.settings import Settings

_NAME_RULES = {"war": "safe", "zip": "any"}  # by WARCOPIER_VALIDATE


class ArchiveCheck:
    """The check of one run, by WARCOPIER_VALIDATE, WARCOPIER_UNPACK and the limits. It has no state.

    `name` stands in the manifest beside each artifact that passed the check. `reads_archives` is False for `none`.
    """

    def __init__(self, settings: Settings) -> None:
        self.limits = Limits(settings.max_entries, settings.max_unpacked_size, settings.max_ratio)
        self._name_rule = "unpackable" if settings.unpack else _NAME_RULES.get(settings.validate, "")
        self.reads_archives = bool(self._name_rule)
        limits = f" {self.limits.entries} {self.limits.uncompressed_size} {self.limits.ratio}"
        self.name = (
            f"{settings.validate}{limits if self.reads_archives else ''}{' unpacked' if settings.unpack else ''}"
        )

    def verify_archive(self, path: str, read: ReadAt, size: int) -> Contents | None:
        """Verify all of an archive; None if the check reads no archives. Raises BadData."""
        if not self.reads_archives:
            return None
        with naming(path):
            return verification.verify_archive(read, size, self.limits, self._name_rule)

    def summarize(self, path: str, read: ReadAt, size: int, block: int = 1) -> ArchiveSummary:
        """Return the contents that an archive declares. `block` is the size of the target's blocks. Raises BadData."""
        with naming(path):
            return verification.summarize(read, size, self.limits, self._name_rule, block)

    def unpack_part(
        self, path: str, read: ReadAt, summary: ArchiveSummary, number: int, sink: EntrySink
    ) -> EntryRanges:
        """Verify the part with this number, and hand its entries to the sink. Raises BadData."""
        with naming(path):
            return verification.verify_part(read, summary, summary.parts[number], self._name_rule, sink)

    def require_match(self, path: str, read: ReadAt, size: int, root: Root) -> None:
        """Verify all of an archive, and compare it with an exploded directory. Raises BadData, or Differs."""
        from sidecars.warcopier.archive.matching import ExplodedDirectoryMatcher  # noqa: PLC0415 - not for a WAR
        from sidecars.warcopier.archive.open_directories import OpenDirectories  # noqa: PLC0415 - not for a WAR

        summary = self.summarize(path, read, size)
        with naming(path), OpenDirectories(root) as directories:
            matcher = ExplodedDirectoryMatcher(directories)
            verification.require_no_overlap(
                verification.verify_part(read, summary, part, self._name_rule, matcher) for part in summary.parts
            )

    def require_no_overlap(self, path: str, parts: Iterable[EntryRanges]) -> None:
        """Raise BadData if two entries share bytes."""
        with naming(path):
            verification.require_no_overlap(parts)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Raise BadData, which names the path, for a BadArchive in this context."""
    try:
        yield
    except BadArchive as error:
        raise BadData(f"{escaped(path)}: {error}; nothing was published", code="bad-archive") from None
