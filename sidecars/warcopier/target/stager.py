"""Staging of one artifact: from its source to a staged file or directory that is complete and verified.

    small WAR (up to 1 MiB)  read at once ─▶ write ─▶ digest and check in memory, during the flush
    large WAR                copy by the kernel, digest of the source in a thread ─▶ flush, during digest and check of
                             the copy, each in a thread
    exploded directory       summary of the archive ─▶ verify and unpack its parts, in two processes ─▶ times, tracker

Afterwards only the final name is missing, which `commit` gives.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager, nullcontext, suppress

from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass, replace
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.archive import archive_check
from sidecars.warcopier.source.expected_digests import require_digest
from sidecars.warcopier.source.opening import open_source
from sidecars.warcopier.tomcat_names import escaped
from sidecars.warcopier.transfer.background import BackgroundFlush, BackgroundTask
from sidecars.warcopier.transfer.copying import (
    copy,
    flush_data,
    flush_file_system,
    holds,
    sha256_of,
    sha256_of_bytes,
)
from sidecars.warcopier.transfer.progress import no_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.archive.archive_check import ArchiveCheck
    from sidecars.warcopier.archive.verification import ArchiveSummary, EntryRanges
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.io_errors import ReadAt
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.staging_area import StagingArea
    from sidecars.warcopier.transfer.fork_pool import OnWritten
    from sidecars.warcopier.transfer.progress import Progress

SMALL = 1 << 20  # bytes of a WAR that is read at once
_WORTH_A_THREAD = 1 << 18  # bytes of a WAR
WORTH_A_PROCESS = 1 << 20  # bytes of an archive that is unpacked
_FLUSH_INTERVAL = 64 << 20  # bytes of one file between two flushes
_FLUSH_INTERVAL_OF_MANY = 16 << 20  # bytes of many files between two flushes: the disk works more for each byte of them


class SourceChanged(IOFailed):
    """The source was changed while it was read."""


@dataclass(frozen=True, slots=True)
class StagedArtifact:
    """An artifact that is complete and verified: `commit` renames `staging_name` to `name`.

    `sha256` is the digest of the archive, "" if none was taken. `identity` is the inode and the user of the staged file
    or directory.
    """

    source: Source
    name: str
    staging_name: str
    identity: tuple[int, int]
    sha256: str
    has_web_inf: bool


class Stager:
    """Stages the artifacts of one run, one after another. It owns no state: names and lock are the staging area's."""

    def __init__(
        self, target: TargetDirectory, area: StagingArea, settings: Settings, check: ArchiveCheck, progress: Progress
    ) -> None:
        self._target = target
        self._area = area
        self._settings = settings
        self._check = check
        self._progress = progress
        # WATCH has threads, which a fork would not copy. On one core two processes only take turns.
        self._may_fork = not settings.watch and _usable_processors() > 1

    def stage(
        self, source: Source, expected_sha256: str, summary: ArchiveSummary | None, *, flush: bool
    ) -> StagedArtifact:
        """Copy or unpack one source, and verify the result. Raises BadData, IOFailed or Stopped.

        `expected_sha256` is "" if there is none. `summary` is that of the archive, if it was read before. `flush` False
        means that the caller flushes a small WAR or a directory later, with all others.
        """
        reader = open_source(source)
        try:
            present = artifacts.fingerprint(os.fstat(reader))
            if present != source.fingerprint:
                source, summary = replace(source, fingerprint=present), None
            if self._settings.unpack:
                staged = self._stage_directory(source, reader, summary, expected_sha256)
            elif present.size <= SMALL:
                staged = self._stage_small(source, reader, expected_sha256, flush=flush)
            else:
                staged = self._stage_large(source, reader, expected_sha256)
        finally:
            os.close(reader)
        self._progress.complete_step(2 * present.size)
        return staged

    # -- a WAR --------------------------------------------------------------------------------------------------------

    def _stage_small(self, source: Source, reader: int, expected_sha256: str, *, flush: bool) -> StagedArtifact:
        size = source.fingerprint.size
        needs_digest = self._settings.digest or bool(expected_sha256)
        data = io_errors.range_reader(reader, source.path)(0, size + 1)
        _require_unchanged(source, reader, len(data))
        with io_errors.writing(self._target.path):
            staging_name, writer = self._area.create_file(self._settings.mode)
            try:
                write_all(writer, data)
                identity = self._set_metadata(source, writer)
                with _flushing(writer, in_thread=size > _WORTH_A_THREAD) if flush else nullcontext():
                    sha256 = sha256_of_bytes(data) if needs_digest else ""
                    require_digest(source, sha256, expected_sha256)
                    contents = self._check.verify_archive(source.path, lambda at, length: data[at : at + length], size)
                    if needs_digest and not holds(writer, data):
                        raise _copy_differs(source)
            finally:
                os.close(writer)
        has_web_inf = contents is None or contents.has_web_inf
        return StagedArtifact(source, source.name, staging_name, identity, sha256, has_web_inf)

    def _stage_large(self, source: Source, reader: int, expected_sha256: str) -> StagedArtifact:
        size, update = source.fingerprint.size, self._progress.update
        needs_digest = self._settings.digest or bool(expected_sha256)
        with io_errors.writing(self._target.path):
            staging_name, writer = self._area.create_file(self._settings.mode)
        try:
            with BackgroundTask(reader, sha256_of if needs_digest else _no_digest) as digest:
                with (
                    io_errors.writing(self._target.path),
                    BackgroundFlush(lambda: flush_data(writer), _FLUSH_INTERVAL, update) as flush,
                ):
                    copied = copy(reader, writer, size, flush.wrote)
                with io_errors.reading(source.path):
                    sha256 = digest.result(update)
            _require_unchanged(source, reader, copied)
            require_digest(source, sha256, expected_sha256)
            return self._verify_copy(source, staging_name, writer, sha256)
        finally:
            os.close(writer)

    def _verify_copy(self, source: Source, staging_name: str, writer: int, sha256: str) -> StagedArtifact:
        """Read the copy back, while the kernel brings it to the disk."""
        size = source.fingerprint.size

        def update(done: int) -> None:
            self._progress.update(size + done)

        with (
            BackgroundTask(writer, lambda read: self._check.verify_archive(source.path, read, size)) as check,
            BackgroundTask(writer, sha256_of if sha256 else _no_digest) as digest,
            io_errors.writing(self._target.path),
        ):
            identity = self._set_metadata(source, writer)
            os.fsync(writer)
            if digest.result(update) != sha256:
                raise _copy_differs(source)
            contents = check.result(update)
        has_web_inf = contents is None or contents.has_web_inf
        return StagedArtifact(source, source.name, staging_name, identity, sha256, has_web_inf)

    def _set_metadata(self, source: Source, writer: int) -> tuple[int, int]:
        """Set mode, owner and mtime of a staged WAR. Return its inode and user. Raises IOFailed or OSError."""
        found = os.fstat(writer)
        if stat.S_IMODE(found.st_mode) != self._settings.mode:
            with suppress(PermissionError):  # some network file systems have modes of their own
                os.fchmod(writer, self._settings.mode)
        if self._settings.owner:
            io_errors.change_owner(writer, self._settings.owner)
        now_ns = time.time_ns()
        os.utime(writer, ns=(now_ns, self._mtime(source, now_ns)))
        return found.st_ino, self._settings.owner[0] if self._settings.owner else found.st_uid

    def _mtime(self, source: Source, now_ns: int) -> int:
        return artifacts.new_mtime(now_ns, self._target.mtimes_known_to_tomcat(source.name))

    # -- an exploded directory ----------------------------------------------------------------------------------------

    def _stage_directory(
        self, source: Source, reader: int, summary: ArchiveSummary | None, expected_sha256: str
    ) -> StagedArtifact:
        size = source.fingerprint.size
        if summary is None:
            summary = self._check.summarize(source.path, io_errors.range_reader(reader, source.path), size)
        with io_errors.writing(self._target.path):
            staging_name, root = self._area.create_directory()
        try:
            identity, sha256 = self._unpack(source, reader, summary, root)
        finally:
            root.close()
        _require_unchanged(source, reader, size)
        require_digest(source, sha256, expected_sha256)
        name = tomcat_names.exploded_directory_name(source.name)
        return StagedArtifact(source, name, staging_name, identity, sha256, summary.contents.has_web_inf)

    def _unpack(self, source: Source, reader: int, summary: ArchiveSummary, root: Root) -> tuple[tuple[int, int], str]:
        """Fill the directory from the archive. Return the directory's identity and the archive's digest."""
        from sidecars.warcopier.archive.open_directories import OpenDirectories  # noqa: PLC0415 - not for a WAR
        from sidecars.warcopier.archive.unpacking import ExplodedDirectoryWriter  # noqa: PLC0415 - not for a WAR
        from sidecars.warcopier.transfer.fork_pool import ForkPool  # noqa: PLC0415 - not for a WAR

        read = io_errors.range_reader(reader, source.path)

        def directory_writer(on_written: OnWritten) -> ExplodedDirectoryWriter:
            return ExplodedDirectoryWriter(directories, self._settings.mode, self._settings.owner, on_written)

        def unpack_part(number: int, on_written: OnWritten) -> EntryRanges:
            return self._check.unpack_part(source.path, read, summary, number, directory_writer(on_written))

        single_process = source.fingerprint.size < WORTH_A_PROCESS or not self._may_fork
        with (
            OpenDirectories(root) as directories,
            ForkPool(len(summary.parts), unpack_part, single_process=single_process) as pool,
            BackgroundTask(reader, sha256_of) as digest,
        ):
            with (
                io_errors.writing(self._target.path),
                BackgroundFlush(
                    lambda: flush_file_system(self._target.descriptor), _FLUSH_INTERVAL_OF_MANY, self._progress.update
                ) as flush,
            ):
                self._check.require_no_overlap(source.path, pool.run(flush.wrote))
                with archive_check.naming(source.path):
                    mtime = self._mtime(source, time.time_ns())
                    directory_writer(no_progress).finish(mtime, summary.newest_dos_time)
                status = root.status()
            with io_errors.reading(source.path):
                return (status.st_ino, status.st_uid), digest.result()


def _no_digest(_read: ReadAt) -> str:
    return ""


def _usable_processors() -> int:
    """Return the number of processors that this process may use. Systems other than Linux only report all of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _require_unchanged(source: Source, reader: int, copied: int) -> None:
    if copied != source.fingerprint.size or artifacts.fingerprint(os.fstat(reader)) != source.fingerprint:
        raise SourceChanged(
            f"{escaped(source.path)}: it was changed while it was being copied: try again", code="source-changed"
        )


def _copy_differs(source: Source) -> IOFailed:
    return IOFailed(
        f"{escaped(source.path)}: the copy differs from what was read; suspect the memory, or the disk of the target",
        code="copy-differs",
    )


@contextmanager
def _flushing(writer: int, *, in_thread: bool) -> Iterator[None]:
    """Bring the file to the disk: in a thread during the context, or after it. Raises OSError."""
    if in_thread:
        with BackgroundTask(writer, lambda _read: os.fsync(writer)) as flush:
            yield
            flush.result()
    else:
        yield
        os.fsync(writer)
