"""The commit: every staged artifact of the run is renamed to its final name, and superseded artifacts are removed.

A rename replaces the old WAR in one step: there is no instant without a WAR, and a process that has the old file open
keeps it. An exploded directory is exchanged with the one before it (see `directory_swap`). After the last rename the
target directory is flushed, so that the names survive a power failure.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.target import directory
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.artifacts import Fingerprint
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.stager import StagedArtifact
    from sidecars.warcopier.target.staging_area import StagingArea


def commit(
    target: TargetDirectory,
    area: StagingArea,
    staged: Iterable[StagedArtifact],
    superseded: Iterable[str],
    on_committed: Callable[[], None],
) -> dict[str, Fingerprint]:
    """Publish all staged artifacts, remove the superseded ones, and flush the directory.

    Return the fingerprint of each published artifact. One is missing if something else than what was staged has its
    name: what another run has published, or what a neighbour has put there.

    A stop signal takes effect only after the commit, so no set is published in part. After the commit, and before such
    a signal, `on_committed` is called: the run has succeeded. Raises IOFailed, which names the artifacts that were
    already published.
    """
    fingerprints: dict[str, Fingerprint] = {}
    published: list[str] = []
    with signals.block_stop():
        try:
            with io_errors.writing(target.path):
                for artifact in staged:
                    publish = publish_file if tomcat_names.is_war(artifact.name) else publish_directory
                    publish(target, area, artifact.staging_name, artifact.name)
                    published.append(artifact.name)
                    found = target.stat(artifact.name)
                    if found and _is_staged(found, artifact):
                        fingerprints[artifact.name] = artifacts.fingerprint(found)
                for name in superseded:
                    _remove(target, area, name)
                flush_names(target)
        except IOFailed as failure:
            if not published:
                raise
            names = ", ".join(map(escaped, published))
            raise IOFailed(
                f"{failure.reason}; published before that: {names}; run again for the rest", code=failure.code
            ) from None
        on_committed()
    return fingerprints


def _is_staged(found: os.stat_result, artifact: StagedArtifact) -> bool:
    """True if the staged file or directory has the final name."""
    if tomcat_names.is_war(artifact.name):
        is_alike = stat.S_ISREG(found.st_mode) and found.st_size == artifact.source.fingerprint.size
    else:
        is_alike = stat.S_ISDIR(found.st_mode)
    return is_alike and (found.st_ino, found.st_uid) == artifact.identity


def publish_file(target: TargetDirectory, area: StagingArea, staging_name: str, name: str) -> None:
    """Rename a staged file to its final name, over the file that has it. Raises OSError."""
    target.root.rename(staging_name, name)
    area.published(staging_name)


def publish_directory(target: TargetDirectory, area: StagingArea, staging_name: str, name: str) -> None:
    """Give a staged directory its final name. The staging area removes the directory that had it. Raises OSError."""
    from sidecars.warcopier.target import directory_swap  # noqa: PLC0415 - not for a WAR

    meta_inf, aside = area.new_directory_name()
    if not directory_swap.replace_directory(meta_inf, staging_name, target.root, name, aside, directory.is_unpacked):
        area.published(staging_name)


def flush_names(target: TargetDirectory) -> None:
    """Bring the names in the target to the disk (fsync of the directory). Raises OSError."""
    try:
        os.fsync(target.descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have nothing to flush there
            raise


def _remove(target: TargetDirectory, area: StagingArea, name: str) -> None:
    """Remove an artifact: a WAR at once, a directory by one rename into the staging area. Raises OSError."""
    if tomcat_names.is_war(name):
        with suppress(FileNotFoundError):  # another process was faster
            target.root.remove(name)
        return
    from sidecars.warcopier.target import directory_swap  # noqa: PLC0415 - not for a WAR

    meta_inf, aside = area.new_directory_name()
    directory_swap.put_aside(target.root, name, meta_inf, aside, directory.is_unpacked)
