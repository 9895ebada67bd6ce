"""The target directory, held open: questions about the artifacts in it, all asked beneath its descriptor.

Others may write into it: no link is followed, neither in the place of an artifact nor on the way into a directory.
Nothing is published here (see `commit`). The one change is `set_mode_and_owner`, which Tomcat does not notice.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress

from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sidecars.warcopier.artifacts import Fingerprint
    from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")


class TargetDirectory:
    """WARCOPIER_TARGET for the length of one run. `root` and `descriptor` are open until the context is left.

    `descriptor` is open for reading: it can be listed and flushed.
    """

    def __init__(self, path: str) -> None:
        """Open the directory. Raises IOFailed."""
        self.path = path
        try:
            with Root.open(path) as found, io_errors.opened_for_reading(found) as descriptor:
                self.descriptor = os.dup(descriptor)
        except FileNotFoundError:
            raise IOFailed(
                f"WARCOPIER_TARGET={escaped(path)}: there is no such directory: mount the volume there",
                code="target-unusable",
            ) from None
        except NotADirectoryError:
            raise IOFailed(f"WARCOPIER_TARGET={escaped(path)}: it is not a directory", code="target-unusable") from None
        except OSError as error:
            raise IOFailed(
                f"WARCOPIER_TARGET={escaped(path)}: cannot be opened: {error.strerror}", code="target-unusable"
            ) from None
        self.root = Root(self.descriptor, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.root.close()

    def names(self) -> list[str]:
        """Return the names of everything in the directory, sorted. Raises IOFailed."""
        with io_errors.reading(self.path):
            return sorted(os.listdir(self.descriptor))  # noqa: PTH208 - pathlib has no listing of a descriptor

    def contains_file(self, path: str) -> bool:
        """True if the file lies in this very directory, by any path. Raises IOFailed."""
        with io_errors.reading(path):
            parent = os.stat(os.path.dirname(os.path.realpath(path)))  # noqa: PTH116, PTH120 - paths are text
            return os.path.samestat(parent, os.fstat(self.descriptor))

    # -- one artifact ------------------------------------------------------------------------------------------------

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of the file, link or directory with this name; None if there is none.

        Raises OSError, which is LeavesRoot if a link stands on the way.
        """
        try:
            return self.root.status(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def file_fingerprint(self, name: str) -> Fingerprint | None:
        """Return the fingerprint of the file with this name.

        None if there is nothing, or a link, pipe or device: that may be replaced. Raises IOFailed for a directory.
        """
        with io_errors.writing(self.path):
            found = self.stat(name)
        if found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            place = escaped(f"{self.path}/{name}")
            raise IOFailed(
                f"{place} is a directory, so nothing can be published there: remove it", code="target-name-taken"
            )
        return artifacts.fingerprint(found) if stat.S_ISREG(found.st_mode) else None

    def directory_fingerprint(self, name: str) -> Fingerprint | None:
        """Return the fingerprint of the directory with this name; None if there is nothing. Raises IOFailed."""
        with io_errors.writing(self.path):
            found = self.stat(name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            place = escaped(f"{self.path}/{name}")
            raise IOFailed(
                f"{place} is not a directory, so nothing can be unpacked there: remove it", code="target-name-taken"
            )
        return artifacts.fingerprint(found) if found else None

    def exists(self, name: str) -> bool | None:
        """True if something has this name, False if nothing has, None if that cannot be known.

        Tomcat as root unpacks into directories that other users may not enter (mode 0750).
        """
        try:
            return self.stat(name) is not None
        except OSError:
            return None

    @contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a regular file of the directory for reading. Raises OSError."""
        descriptor = self.root.open_file(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def set_mode_and_owner(self, name: str, present: Fingerprint, settings: Settings) -> Fingerprint | None:
        """Set the mode and owner of a kept file. Return its new fingerprint; None if nothing was changed.

        Tomcat does not redeploy because of that. A failure is a warning, and so is another file than `present`, or one
        with a second name: that may be a file that somebody protects by its mode.
        """
        try:
            with self.open_file(name) as descriptor:
                found = os.fstat(descriptor)
                owner = settings.owner or (found.st_uid, found.st_gid)
                if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (settings.mode, *owner):
                    return None
                if found.st_nlink > 1 or artifacts.fingerprint(found) != present:
                    raise OSError(errno.EPERM, "it has a second name (a hard link), or was changed just now")  # noqa: TRY301 - one warning
                os.fchown(descriptor, *owner)
                os.fchmod(descriptor, settings.mode)
                return artifacts.fingerprint(os.fstat(descriptor))
        except OSError as error:
            log.warning(
                "its mode or owner differs and cannot be set",
                code="mode-or-owner-differs",
                file=escaped(name),
                reason=error.strerror,
            )
        return None

    # -- the view of Tomcat -------------------------------------------------------------------------------------------

    def is_hidden_by_directory(self, war: str) -> bool:
        """True if Tomcat will not serve the WAR, but a directory beside it that it did not unpack itself."""
        exploded = tomcat_names.exploded_directory_name(war)
        if exploded == war or not self.exists(exploded):
            return False
        return self.exists(f"{exploded}/{tomcat_names.WAR_TRACKER}") is False

    def mtimes_known_to_tomcat(self, war: str) -> list[int | None]:
        """Return the mtimes, in nanoseconds, by which Tomcat may know the deployed artifact; None for each unknown."""
        exploded = tomcat_names.exploded_directory_name(war)
        inside = (
            [f"{exploded}/{tomcat_names.WAR_TRACKER}", f"{exploded}/WEB-INF/web.xml"] if self.stat(exploded) else []
        )
        return [self._mtime(name) for name in (war, *inside)]

    def _mtime(self, name: str) -> int | None:
        with suppress(OSError):
            found = self.stat(name)
            return found.st_mtime_ns if found else None
        return None


def is_unpacked(root: Root, name: str) -> bool:
    """True if a copier or Tomcat has unpacked the directory with this name in `root`, so that it may be replaced.

    `META-INF/war-tracker` shows it. In a directory of ours others may have made one, to have the directory removed: so
    there it must be ours, too. Raises OSError if that cannot be known.
    """
    try:
        found = [root.status(path) for path in (name, f"{name}/META-INF", f"{name}/{tomcat_names.WAR_TRACKER}")]
    except (FileNotFoundError, NotADirectoryError, LeavesRoot):
        return False
    if not stat.S_ISDIR(found[0].st_mode) or not stat.S_ISREG(found[-1].st_mode):
        return False
    return found[0].st_uid != os.geteuid() or all(one.st_uid == found[0].st_uid for one in found)
