"""Opening a source: beneath the directory that WARCOPIER_SOURCE names, and never through a link that leads out of it.

The source may be a shared volume, too (WARCOPIER_WATCH). A link in it could make the copier publish any file that it
may read. The links of a ConfigMap's or Secret's mount stay inside the mount (`shop.war` → `..data/shop.war`). So a link
is read here, and its target looked up beneath the same directory; the kernel follows none. Links in the path of the
setting itself are the operator's, and are followed.

No open waits: neither for a pipe nor for a lease.
"""

from __future__ import annotations

import errno
import os

from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.chassis.runtime.lifecycle import BadData
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, T
from sidecars.warcopier import io_errors
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.warcopier.artifacts import Source

_MOST_LINKS = 40  # of one path, as in the kernel (path_resolution(7))


def open_source(source: Source) -> int:
    """Open a source for reading and return its descriptor.

    Raises IOFailed, or BadData if it is no regular file or a link leads out of the source.
    """
    with io_errors.reading(source.path):
        try:
            return _beneath(source.base, source.path, Root.open_file)
        except LeavesRoot:
            raise _leaves(source.base, source.path) from None
        except OSError as error:
            if error.errno == errno.EINVAL:  # it is no regular file, which it was when it was listed
                raise BadData(
                    f"{escaped(source.path)}: is no file; nothing was published", code="source-not-a-file"
                ) from None
            raise


def read_beside(source: Source, name: str, most: int) -> bytes:
    """Return the content of a file beside a source, of at most `most` bytes.

    Raises FileNotFoundError if there is nothing with that name; BadData if it is no regular file, is larger, is a link
    to nothing or leads out of the source; or IOFailed.
    """
    path = os.path.join(os.path.dirname(source.path), name)  # noqa: PTH118, PTH120 - paths are text throughout
    try:
        return _beneath(source.base, path, lambda root, real: root.read_small(real, most))
    except FileNotFoundError:
        if os.path.islink(path):  # noqa: PTH114 - paths are text throughout
            raise BadData(
                f"{escaped(path)}: it is a link to nothing, so no digest is known; nothing was published",
                code="digests-file-not-valid",
            ) from None
        raise
    except LeavesRoot:
        raise _leaves(source.base, path) from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise BadData(
                f"{escaped(path)}: it has more than {most} bytes; nothing was published", code="digests-file-not-valid"
            ) from None
        with io_errors.reading(path):
            if error.errno in (errno.EINVAL, errno.ENXIO):  # ENXIO: a socket
                mode = _beneath(source.base, path, lambda root, real: root.status(real)).st_mode
                io_errors.require_regular_file(path, mode)
            raise


def _beneath(base: str, path: str, use: Callable[[Root, str], T]) -> T:
    """Call `use` with the root at `base` and the name of `path` beneath it, without links. Raises OSError."""
    name = os.path.relpath(path, base)
    with Root.open(base) as root:
        try:
            return use(root, name)
        except LeavesRoot:
            return use(root, _without_links(root, base, name))


def _without_links(root: Root, base: str, name: str) -> str:
    """Return the name to which the links in a name lead. Raises LeavesRoot if that is not beneath the root."""
    resolved: list[str] = []
    pending = name.split("/")[::-1]
    links = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not resolved:
                raise LeavesRoot(name)
            resolved.pop()
            continue
        try:
            target = root.read_link("/".join([*resolved, part]))
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no link
                raise
            resolved.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            resolved, target = [], _beneath_base(base, target)
        pending += target.split("/")[::-1]
    return "/".join(resolved)


def _beneath_base(base: str, target: str) -> str:
    """Return an absolute path as a name beneath the base. Raises LeavesRoot."""
    for folder in (os.path.abspath(base), os.path.realpath(base)):  # noqa: PTH100 - paths are text throughout
        if target.startswith(f"{folder.rstrip('/')}/"):
            return target[len(folder.rstrip("/")) + 1 :]
    raise LeavesRoot(target)


def _leaves(base: str, path: str) -> BadData:
    return BadData(
        f"{escaped(path)}: a link leads out of {escaped(base)}, and only the path in WARCOPIER_SOURCE may do that: name"
        " the target itself there; nothing was published",
        code="link-leaves-source",
    )
