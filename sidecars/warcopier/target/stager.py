"""One artifact, from its source to a staged file or directory that is complete, proven, and lacks only its name.

What fits into a few megabytes is read once, written, and checked in memory, while the kernel brings it to the disk.
What does not is copied by the kernel while a thread takes the digest of the source; then the copy is read back for its
digest and its check, again while it goes to the disk.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager, nullcontext, suppress

from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass, replace
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.archive.archive_check import bad_archive_refused
from sidecars.warcopier.archive.entry_times import directory_mtime_ns
from sidecars.warcopier.target import directory_swap
from sidecars.warcopier.tomcat_names import escaped
from sidecars.warcopier.transfer.copying import (
    BackgroundFlush,
    BackgroundTask,
    copy,
    flush_data,
    holds,
    no_progress,
    sha256_of,
    sha256_of_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.warcopier.archive.archive_check import ArchiveCheck
    from sidecars.warcopier.archive.verification import ArchiveSummary, EntryRanges
    from sidecars.warcopier.archive.zip_directory import ReadAt
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.transfer.fork_pool import OnWritten
    from sidecars.warcopier.transfer.progress import Progress

SMALL = 1 << 20  # bytes that are read at once
_WORTH_A_THREAD = 1 << 18  # bytes
WORTH_A_PROCESS = 1 << 20  # bytes of an archive to be unpacked
_STRETCH = 64 << 20  # bytes of a file that are written before they are brought to the disk
_SMALL_STRETCH = 16 << 20  # likewise, of many files: the disk has more to do for each byte of them


class SourceChanged(IOFailed):
    """Somebody wrote to the source while it was read."""


@dataclass(frozen=True, slots=True)
class StagedArtifact:
    """An artifact that is complete, checked, and lacks only its name. `sha256` is "" where none was taken."""

    source: Source
    name: str
    staging: str
    inode: int
    sha256: str
    has_web_inf: bool


class Stager:
    """What one run knows about how to stage: the check, permissions, whether digests are taken, and how far it is."""

    def __init__(self, target: TargetDirectory, settings: Settings, check: ArchiveCheck, progress: Progress) -> None:
        self._target = target
        self._settings = settings
        self._check = check
        self._progress = progress
        # WATCH has threads, which would not go along with a fork; on one core two processes only take turns.
        self._may_fork = not settings.watch and _usable_processors() > 1

    def stage(self, source: Source, expected: str, found: ArchiveSummary | None, *, flush: bool) -> StagedArtifact:
        """Copy or unpack one source and prove the result. `expected` is its digest, or ""; `found` what it declares.

        `flush`: bring it to the disk now, rather than later with all others. Raises BadData or IOFailed.
        """
        reader = open_source(source)
        try:
            before = artifacts.fingerprint(os.fstat(reader))
            wanted = self._settings.digest or bool(expected)
            if before != source.fingerprint:
                source, found = replace(source, fingerprint=before), None
            if self._settings.unpack:
                staged = self._stage_tree(source, reader, found, expected)
            elif before.size <= SMALL:
                staged = self._stage_small(source, reader, expected, wanted=wanted, flush=flush)
            else:
                staged = self._stage_large(source, reader, expected, wanted=wanted)
        finally:
            os.close(reader)
        self._progress.step(2 * before.size)
        return staged

    # -- an archive ---------------------------------------------------------------------------------------------

    def _stage_small(self, source: Source, reader: int, expected: str, *, wanted: bool, flush: bool) -> StagedArtifact:
        size = source.fingerprint.size
        data = io_errors.reader_of(reader, source.path)(0, size + 1)
        _demand_unchanged(source, reader, len(data))
        with io_errors.writing(self._target.path):
            staging, writer = self._target.create_file(self._settings.mode)
            try:
                write_all(writer, data)
                inode = self._finish(source, writer)
                with _flushing(writer, beside=size > _WORTH_A_THREAD) if flush else nullcontext():
                    sha256 = sha256_of_bytes(data) if wanted else ""
                    demand_digest(source, sha256, expected)
                    contents = self._check.verify_archive(source.path, lambda at, length: data[at : at + length], size)
                    if wanted and not holds(writer, data):
                        raise _differs(source)
            finally:
                os.close(writer)
        return StagedArtifact(source, source.name, staging, inode, sha256, contents is None or contents.has_web_inf)

    def _stage_large(self, source: Source, reader: int, expected: str, *, wanted: bool) -> StagedArtifact:
        size, tick = source.fingerprint.size, self._progress.tick
        sha256 = ""
        with io_errors.writing(self._target.path):
            staging, writer = self._target.create_file(self._settings.mode)
        try:
            with BackgroundTask(reader, sha256_of if wanted else _nothing) as digest:
                with (
                    io_errors.writing(self._target.path),
                    BackgroundFlush(lambda: flush_data(writer), _STRETCH, tick) as behind,
                ):
                    copied = copy(reader, writer, size, behind.wrote)
                with io_errors.reading(source.path):
                    sha256 = digest.result(tick)
            _demand_unchanged(source, reader, copied)
            demand_digest(source, sha256, expected)
            return self._proven(source, staging, writer, sha256)
        finally:
            os.close(writer)

    def _proven(self, source: Source, staging: str, writer: int, sha256: str) -> StagedArtifact:
        """Read back what was written, while the kernel brings it to the disk."""
        size = source.fingerprint.size

        def tick(done: int) -> None:
            self._progress.tick(size + done)

        with (
            BackgroundTask(writer, lambda read: self._check.verify_archive(source.path, read, size)) as checked,
            BackgroundTask(writer, sha256_of if sha256 else _nothing) as digest,
            io_errors.writing(self._target.path),
        ):
            inode = self._finish(source, writer)
            os.fsync(writer)
            if digest.result(tick) != sha256:
                raise _differs(source)
            contents = checked.result(tick)
        return StagedArtifact(source, source.name, staging, inode, sha256, contents is None or contents.has_web_inf)

    def _finish(self, source: Source, writer: int) -> int:
        """Permissions, owner and time. The file's inode."""
        found = os.fstat(writer)
        if stat.S_IMODE(found.st_mode) != self._settings.mode:
            with suppress(PermissionError):  # some network file systems have modes of their own
                os.fchmod(writer, self._settings.mode)
        if self._settings.owner:
            io_errors.change_owner(writer, self._settings.owner)
        now_ns = time.time_ns()
        os.utime(writer, ns=(now_ns, self._mtime(source, now_ns)))
        return found.st_ino

    def _mtime(self, source: Source, now_ns: int) -> int:
        return artifacts.new_mtime(now_ns, self._target.mtimes_known_to_tomcat(source.name))

    # -- an unpacked directory ----------------------------------------------------------------------------------

    def _stage_tree(self, source: Source, reader: int, found: ArchiveSummary | None, expected: str) -> StagedArtifact:
        size = source.fingerprint.size
        known = found or self._check.summarize(source.path, io_errors.reader_of(reader, source.path), size)
        with io_errors.writing(self._target.path):
            staging, root = self._target.create_directory()
        try:
            inode, sha256 = self._unpack(source, reader, known, root)
        finally:
            os.close(root)
        _demand_unchanged(source, reader, size)
        demand_digest(source, sha256, expected)
        name = tomcat_names.exploded_directory_name(source.name)
        return StagedArtifact(source, name, staging, inode, sha256, known.contents.has_web_inf)

    def _unpack(self, source: Source, reader: int, known: ArchiveSummary, root: int) -> tuple[int, str]:
        """Fill the directory with all that is in the archive. Its inode, and the digest of the archive."""
        from sidecars.warcopier.archive.unpacking import ExplodedDirectoryWriter  # noqa: PLC0415 - as above
        from sidecars.warcopier.transfer.fork_pool import ForkPool  # noqa: PLC0415 - only for this, and loading costs time

        read = io_errors.reader_of(reader, source.path)

        def tree(wrote: OnWritten) -> ExplodedDirectoryWriter:
            return ExplodedDirectoryWriter(root, self._settings.mode, self._settings.owner, wrote)

        def work(number: int, wrote: OnWritten) -> EntryRanges:
            return self._check.unpacked(source.path, read, known, number, tree(wrote))

        alone = source.fingerprint.size < WORTH_A_PROCESS or not self._may_fork
        with ForkPool(len(known.parts), work, alone=alone) as shared, BackgroundTask(reader, sha256_of) as digest:
            with (
                io_errors.writing(self._target.path),
                BackgroundFlush(
                    lambda: directory_swap.sync_file_system(root), _SMALL_STRETCH, self._progress.tick
                ) as behind,
            ):
                self._check.require_no_overlap(source.path, shared.run(behind.wrote))
                with bad_archive_refused(source.path):
                    mtime = self._mtime(source, time.time_ns())
                    tree(no_progress).finish(mtime, directory_mtime_ns(known.modified))
                inode = os.fstat(root).st_ino
            with io_errors.reading(source.path):
                return inode, digest.result()


# -- what else concerns a source ----------------------------------------------------------------------------------


def open_source(source: Source) -> int:
    with io_errors.reading(source.path):
        reader = os.open(source.path, io_errors.READ_FLAGS)
        try:
            io_errors.require_regular_file(source.path, os.fstat(reader).st_mode)
        except BadData:
            os.close(reader)
            raise
        return reader


def demand_digest(source: Source, sha256: str, expected: str) -> None:
    """Raise BadData when another digest was expected. `expected` "" is none."""
    if expected and sha256 != expected:
        raise BadData(
            f"{escaped(source.path)}: its SHA-256 is {sha256}, and {expected} was expected; nothing was published"
        )


def _nothing(_read: ReadAt) -> str:
    return ""


def _usable_processors() -> int:
    """Return the number of processors that this process may run on. Only Linux tells; elsewhere it is all of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _demand_unchanged(source: Source, reader: int, copied: int) -> None:
    if copied != source.fingerprint.size or artifacts.fingerprint(os.fstat(reader)) != source.fingerprint:
        raise SourceChanged(f"{escaped(source.path)}: it was changed while it was being copied: try again")


def _differs(source: Source) -> IOFailed:
    return IOFailed(
        f"{escaped(source.path)}: the copy is not what was read; suspect the memory, or the disk of the target"
    )


@contextmanager
def _flushing(writer: int, *, beside: bool) -> Iterator[None]:
    """Bring the file to the disk, `beside` the rest or after it."""
    if beside:
        with BackgroundTask(writer, lambda _read: os.fsync(writer)) as flush:
            yield
            flush.result()
    else:
        yield
        os.fsync(writer)
