"""What WARCOPIER_SOURCE means on this file system: files, directories and globs become a list of WARs.

Symbolic links are followed, as the mounts of ConfigMaps and Secrets are made of them. As in a shell, names that begin
with a dot are only taken when they are asked for by name.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from chassis.lifecycle import BadData, BadSettings
from sidecars.warcopier import failures, naming
from sidecars.warcopier.naming import shown
from sidecars.warcopier.plan import Clash, Fingerprint, Source, without_doubles

_MAGIC = frozenset("*?[")
_SHOWN = 8  # names of what there is instead
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_KINDS = (
    (stat.S_ISDIR, "a directory; only archives are published"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def listed(setting: Iterable[str]) -> list[Source]:
    """The WARs that the setting selects, in the order of their names, at least one for each of its parts.

    Raises BadSettings when a part selects none or two are one web application, BadData for what is no file or has a
    name that Tomcat refuses, IOFailed for what cannot be read.
    """
    found = [source for part in setting for source in _selected(part)]
    try:
        return without_doubles(found)
    except Clash as clash:
        name = shown(clash.one.name)
        raise BadSettings(f"WARCOPIER_SOURCE: {clash} would both be published as {name}: keep one") from None


def _selected(part: str) -> list[Source]:
    with failures.reading(part):
        paths = list(_wars(part))
        sources = [_source(path) for path in paths]
    if not sources:
        raise BadSettings(f"WARCOPIER_SOURCE={shown(part)}: there is no *.war there; {_what_is_there(part)}")
    return sources


def _wars(part: str) -> Iterator[str]:
    if not _exists(part) and _MAGIC & set(part):
        for path in _globbed(part):
            if os.path.isdir(path) and not naming.is_war(path):  # noqa: PTH112 - paths are text throughout
                yield from _wars_in(path)
            elif naming.is_war(path):
                yield path
    elif os.path.isdir(part):  # noqa: PTH112 - as above
        yield from _wars_in(part)
    else:
        yield part


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    return True


def _globbed(pattern: str) -> list[str]:
    from glob import glob  # noqa: PLC0415 - seldom used, and not cheap to load

    return sorted(glob(pattern, recursive=True))  # noqa: PTH207 - as above


def _wars_in(directory: str) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - as above
        if naming.is_war(name) and not name.startswith("."):
            yield os.path.join(directory, name)  # noqa: PTH118 - as above


def _source(path: str) -> Source:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError as error:
        if error.errno in _MISSING and not os.path.islink(path):  # noqa: PTH114 - as above
            raise BadSettings(f"WARCOPIER_SOURCE={shown(path)}: it does not exist; {_what_is_there(path)}") from None
        raise
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise BadData(f"{shown(path)}: is {kind}; nothing was published")
    try:
        name = naming.published_name(os.path.basename(path))  # noqa: PTH119 - as above
    except ValueError as error:
        raise BadData(f"{shown(path)}: {error}; nothing was published") from None
    return Source(path, name, found.st_dev, Fingerprint.of(found))


def _what_is_there(part: str) -> str:
    """What there is at the place itself, or in its nearest ancestor that exists."""
    place = os.path.abspath(part)  # noqa: PTH100 - as above
    while not os.path.isdir(place):  # noqa: PTH112 - as above
        place = os.path.dirname(place)  # noqa: PTH120 - as above
    try:
        names = sorted(os.listdir(place))  # noqa: PTH208 - as above
    except OSError as error:
        return f"{shown(place)} cannot be listed: {error.strerror}"
    if not names:
        return f"{shown(place)} is empty"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"in {shown(place)} there is {', '.join(shown(name) for name in names[:_SHOWN])}{more}"
