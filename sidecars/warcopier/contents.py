"""The bytes in the target, read now: their digests, and comparisons with the source.

Others may write into the target, also into the manifest. So a run states no digest that it has not taken itself, and
says of no artifact that it is unchanged before it has compared the bytes.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.source.opening import open_source
from sidecars.warcopier.transfer.background import BackgroundTask
from sidecars.warcopier.transfer.copying import are_equal, sha256_of

if TYPE_CHECKING:
    from sidecars.warcopier.archive.archive_check import ArchiveCheck
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.io_errors import ReadAt
    from sidecars.warcopier.target.directory import TargetDirectory


class TargetContents:
    """The contents of the artifacts in one target. It has no state."""

    def __init__(self, target: TargetDirectory, check: ArchiveCheck) -> None:
        self._target = target
        self._check = check

    def sha256(self, name: str, most: int) -> str:
        """Return the digest of a WAR; "" if it cannot be read, changes meanwhile, or has more than `most` bytes.

        Such a WAR can be replaced all the same. A hole of any size costs a neighbour nothing, but our reading it does.
        """
        with suppress(OSError), self._target.open_file(name) as present:
            before = artifacts.fingerprint(os.fstat(present))
            if before.size <= most:
                sha256 = sha256_of(io_errors.range_reader(present, f"{self._target.path}/{name}"))
                return sha256 if artifacts.fingerprint(os.fstat(present)) == before else ""
        return ""

    def digests(self, source: Source) -> tuple[str, str]:
        """Return the digests of the source and of the WAR with its name. Raises BadData or IOFailed."""
        reader = open_source(source)
        try:
            with BackgroundTask(reader, sha256_of) as digest:
                target_sha256 = self.sha256(source.name, source.fingerprint.size)
                with io_errors.reading(source.path):
                    return digest.result(), target_sha256
        finally:
            os.close(reader)

    def is_equal(self, source: Source) -> bool:
        """True if the WAR in the target has the bytes of the source. Raises BadData or IOFailed."""
        reader = open_source(source)
        try:
            with suppress(OSError), self._target.open_file(source.name) as present:
                read_present = io_errors.range_reader(present, f"{self._target.path}/{source.name}")
                return are_equal(io_errors.range_reader(reader, source.path), read_present)
        finally:
            os.close(reader)
        return False

    def verify(self, source: Source) -> None:
        """Verify the WAR in the target, which has the bytes of the source. Raises BadData or IOFailed."""
        place = f"{self._target.path}/{source.name}"
        with io_errors.reading(place), self._target.open_file(source.name) as present:
            read = io_errors.range_reader(present, place)
            self._check.verify_archive(source.path, read, source.fingerprint.size)

    def difference(self, source: Source, read: ReadAt, name: str) -> str:
        """Return the first file of the archive that the directory does not have in this way; "" if it has them all.

        The whole archive is verified. Raises BadData, or the error of `read`.
        """
        from sidecars.warcopier.archive.matching import Differs  # noqa: PLC0415 - not for a WAR

        try:
            with self._target.root.subdirectory(name) as directory:
                self._check.require_match(source.path, read, source.fingerprint.size, directory)
        except Differs as differs:
            return str(differs)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def version(self, name: str) -> str:
        """Return the version that the artifact states of itself; "" if it states none or cannot be read."""
        from sidecars.warcopier.archive import implementation_version  # noqa: PLC0415 - not for a job

        with suppress(OSError, IOFailed):
            if tomcat_names.is_war(name):
                with self._target.open_file(name) as present:
                    read = io_errors.range_reader(present, f"{self._target.path}/{name}")
                    return implementation_version.version_in_archive(read, os.fstat(present).st_size)
            with self._target.root.subdirectory(name) as directory:
                descriptor = directory.open_file(implementation_version.MANIFEST.decode())
                with os.fdopen(descriptor, "rb") as manifest:
                    data = manifest.read(implementation_version.MOST_BYTES)
                return implementation_version.version_in_manifest(data.decode(errors="replace").splitlines())
        return ""

    def is_published(self, source: Source, name: str, sha256: str) -> bool:
        """True if the artifact has just the contents of the source, whose digest is `sha256`, or "" if not known."""
        if tomcat_names.is_war(name):
            return self.sha256(name, source.fingerprint.size) == sha256 if sha256 else self.is_equal(source)
        reader = open_source(source)
        try:
            return not self.difference(source, io_errors.range_reader(reader, source.path), name)
        finally:
            os.close(reader)
