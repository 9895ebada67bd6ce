"""The sources of a run: the files, directories and globs of WARCOPIER_SOURCE become a list of WARs.

Symbolic links count, because the mounts of ConfigMaps and Secrets are made of them; only metadata is read through them
here, and `opening` follows them with care. As in a shell, a file whose name begins with a dot is taken only if it is
given by its name.
"""

from __future__ import annotations

import errno
import os
import stat

from sidecars.chassis.runtime.lifecycle import BadData, BadSettings
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, replace
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.artifacts import DuplicateContext, Source
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sidecars.warcopier.settings import Settings

_GLOB_MAGIC = frozenset("*?[")  # as in `globbing`, which is loaded only for a glob
_MAX_NAMES = 8  # in one message
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def list_sources(settings: Settings) -> list[Source]:
    """Return the WARs that the settings select, sorted by the names to publish them under.

    There is at least one for each part of WARCOPIER_SOURCE. Raises BadSettings if a part selects none, if two are the
    same web application, or if a setting for one WAR is given and there are several. Raises BadData for a path that is
    no regular file or whose name Tomcat refuses, and IOFailed for one that cannot be read.
    """
    found = _without_duplicates([source for part in settings.source for source in _select(part)])
    _require_one(found, "WARCOPIER_CONTEXT_PATH", settings.context_path)
    _require_one(found, "WARCOPIER_SHA256", settings.sha256)
    if settings.context_path is None and settings.version is None:
        return found
    return _without_duplicates([_renamed(source, settings) for source in found])


def _without_duplicates(found: Iterable[Source]) -> list[Source]:
    try:
        return artifacts.without_duplicates(found)
    except DuplicateContext as duplicate:
        name = escaped(duplicate.first.name)
        raise BadSettings(
            f"WARCOPIER_SOURCE: {duplicate} would both be published as {name}: keep one", code="same-name-twice"
        ) from None


def _require_one(found: Sequence[Source], variable: str, value: str | None) -> None:
    if value is not None and len(found) > 1:
        names = ", ".join(escaped(source.path) for source in found[:_MAX_NAMES])
        raise BadSettings(
            f"{variable}={value} is for one WAR, and WARCOPIER_SOURCE has {len(found)}: {names}",
            code="setting-for-one-war",
        )


def _renamed(source: Source, settings: Settings) -> Source:
    try:
        return replace(source, name=tomcat_names.renamed(source.name, settings.context_path, settings.version))
    except ValueError as error:
        values = {"WARCOPIER_CONTEXT_PATH": settings.context_path, "WARCOPIER_VERSION": settings.version}
        given = ", ".join(f"{variable}={value}" for variable, value in values.items() if value is not None)
        raise BadSettings(f"{given}: {error}", code="name-refused") from None


def _select(part: str) -> list[Source]:
    """Return the sources that one part of WARCOPIER_SOURCE selects."""
    with io_errors.reading(part):
        base = _base(part)
        sources = [_source(path, base) for path in war_paths(part)]
    if not sources:
        raise BadSettings(
            f"WARCOPIER_SOURCE={escaped(part)}: there is no *.war there; {_nearest_names(part)}", code="source-missing"
        )
    return sources


def war_paths(part: str) -> Iterator[str]:
    """Yield the paths that one part of WARCOPIER_SOURCE selects. Raises OSError."""
    if is_glob(part) and not _exists(part):
        for path in _glob_paths(part):
            if os.path.isdir(path) and not tomcat_names.is_war(path):  # noqa: PTH112 - paths are text throughout
                yield from _wars_in(path)
            elif tomcat_names.is_war(path):
                yield path
    elif os.path.isdir(part):  # noqa: PTH112 - paths are text throughout
        yield from _wars_in(part)
    else:
        yield part


def is_glob(part: str) -> bool:
    """True if the part has a character of a glob. A file with exactly that name comes before the glob."""
    return not _GLOB_MAGIC.isdisjoint(part)


def glob_root(pattern: str) -> str:
    """Return the deepest directory of a glob that is named in full."""
    head = pattern[: min(pattern.index(char) for char in _GLOB_MAGIC if char in pattern)]
    return os.path.dirname(head) or "."  # noqa: PTH120 - paths are text throughout


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    return True


def _glob_paths(pattern: str) -> list[str]:
    from sidecars.warcopier.source.globbing import glob_paths  # noqa: PLC0415 - rarely used, and slow to load

    return glob_paths(pattern)


def _wars_in(directory: str) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - paths are text throughout
        if tomcat_names.is_war(name) and not name.startswith("."):
            yield os.path.join(directory, name)  # noqa: PTH118 - paths are text throughout


def _base(part: str) -> str:
    """Return the directory that one part of WARCOPIER_SOURCE names in full. Raises OSError."""
    if is_glob(part) and not _exists(part):
        return glob_root(part)
    return part if os.path.isdir(part) else os.path.dirname(part) or "."  # noqa: PTH112, PTH120 - paths are text


def _source(path: str, base: str) -> Source:
    try:
        found = os.stat(path)  # noqa: PTH116 - paths are text throughout
    except OSError as error:
        if error.errno in _MISSING and not os.path.islink(path):  # noqa: PTH114 - paths are text throughout
            raise BadSettings(
                f"WARCOPIER_SOURCE={escaped(path)}: it does not exist; {_nearest_names(path)}", code="source-missing"
            ) from None
        raise
    if stat.S_ISDIR(found.st_mode):
        raise BadData(
            f"{escaped(path)}: is a directory; only archives are published; nothing was published",
            code="source-not-a-file",
        )
    io_errors.require_regular_file(path, found.st_mode)
    try:
        name = tomcat_names.published_name(os.path.basename(path))  # noqa: PTH119 - paths are text throughout
    except ValueError as error:
        raise BadData(f"{escaped(path)}: {error}; nothing was published", code="name-refused") from None
    return Source(path, name, found.st_dev, artifacts.fingerprint(found), base)


def _nearest_names(part: str) -> str:
    """Return the end of a sentence: the names in that directory, or in its nearest ancestor that exists."""
    place = nearest_directory(os.path.abspath(part))  # noqa: PTH100 - paths are text throughout
    try:
        names = sorted(os.listdir(place))  # noqa: PTH208 - paths are text throughout
    except PermissionError:  # of a confined process, mostly: it may not list `/`
        return f"this process may not list {escaped(place)}: look for the right name there"
    except OSError as error:
        return f"{escaped(place)} cannot be listed: {error.strerror}"
    if not names:
        return f"{escaped(place)} is empty"
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"in {escaped(place)} there is {', '.join(escaped(name) for name in names[:_MAX_NAMES])}{more}"


def nearest_directory(path: str) -> str:
    """Return the path if it is a directory, else its nearest ancestor that exists."""
    while not os.path.isdir(path):  # noqa: PTH112 - paths are text throughout
        path = os.path.dirname(path) or "."  # noqa: PTH120 - paths are text throughout
    return path


def resolve_links(path: str) -> str:
    """Return the path without links; unchanged if the kernel does not follow it (a circle, or more than 40 links).

    `realpath` alone would recurse once for each link of such a chain.
    """
    return os.path.realpath(path) if os.path.exists(path) else path  # noqa: PTH110 - paths are text throughout
