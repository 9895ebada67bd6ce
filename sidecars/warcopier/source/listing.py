"""What WARCOPIER_SOURCE means on this file system: files, directories and globs become a list of WARs.

Symbolic links are followed, as the mounts of ConfigMaps and Secrets are made of them. As in a shell, names that begin
with a dot are only taken when they are asked for by name.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from sidecars.chassis.runtime.lifecycle import BadData, BadSettings
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, replace
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.artifacts import DuplicateContext, Source, without_duplicates
from sidecars.warcopier.source import sha256sums
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sidecars.warcopier.settings import Settings

_MAGIC = frozenset("*?[")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and shells of Windows begin UTF-8 with it
_SHOWN = 8  # names of what there is instead
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def list_sources(settings: Settings) -> list[Source]:
    """The WARs that the settings select, in the order of the names that they are to have.

    There is at least one for each part of WARCOPIER_SOURCE. Raises BadSettings when a part selects none, two are one
    web application, or a setting is for one WAR and there are several; BadData for what is no file or has a name that
    Tomcat refuses; IOFailed for what cannot be read.
    """
    found = _without_doubles([source for part in settings.source for source in _selected(part)])
    _demand_one(found, "WARCOPIER_CONTEXT_PATH", settings.context_path)
    _demand_one(found, "WARCOPIER_SHA256", settings.sha256)
    if settings.context_path is None and settings.version is None:
        return found
    return _without_doubles([_renamed(source, settings) for source in found])


def _without_doubles(found: Iterable[Source]) -> list[Source]:
    try:
        return without_duplicates(found)
    except DuplicateContext as clash:
        name = escaped(clash.one.name)
        raise BadSettings(f"WARCOPIER_SOURCE: {clash} would both be published as {name}: keep one") from None


def _demand_one(found: Sequence[Source], variable: str, value: str | None) -> None:
    if value is not None and len(found) > 1:
        names = ", ".join(escaped(source.path) for source in found[:_SHOWN])
        raise BadSettings(f"{variable}={value} is for one WAR, and WARCOPIER_SOURCE has {len(found)}: {names}")


def _renamed(source: Source, settings: Settings) -> Source:
    try:
        return replace(source, name=tomcat_names.renamed(source.name, settings.context_path, settings.version))
    except ValueError as error:
        asked = {"WARCOPIER_CONTEXT_PATH": settings.context_path, "WARCOPIER_VERSION": settings.version}
        said = ", ".join(f"{variable}={value}" for variable, value in asked.items() if value is not None)
        raise BadSettings(f"{said}: {error}") from None


def _selected(part: str) -> list[Source]:
    with io_errors.reading(part):
        paths = list(_wars(part))
        sources = [_source(path) for path in paths]
    if not sources:
        raise BadSettings(f"WARCOPIER_SOURCE={escaped(part)}: there is no *.war there; {_what_is_there(part)}")
    return sources


def _wars(part: str) -> Iterator[str]:
    if not _exists(part) and _MAGIC & set(part):
        for path in _globbed(part):
            if os.path.isdir(path) and not tomcat_names.is_war(path):  # noqa: PTH112 - paths are text throughout
                yield from _wars_in(path)
            elif tomcat_names.is_war(path):
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
    from sidecars.warcopier.source.globbing import glob_paths  # noqa: PLC0415 - seldom used, and not cheap to load

    return glob_paths(pattern)


def _wars_in(directory: str) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - as above
        if tomcat_names.is_war(name) and not name.startswith("."):
            yield os.path.join(directory, name)  # noqa: PTH118 - as above


def _source(path: str) -> Source:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError as error:
        if error.errno in _MISSING and not os.path.islink(path):  # noqa: PTH114 - as above
            raise BadSettings(f"WARCOPIER_SOURCE={escaped(path)}: it does not exist; {_what_is_there(path)}") from None
        raise
    if stat.S_ISDIR(found.st_mode):
        raise BadData(f"{escaped(path)}: is a directory; only archives are published; nothing was published")
    io_errors.require_regular_file(path, found.st_mode)
    try:
        name = tomcat_names.published_name(os.path.basename(path))  # noqa: PTH119 - as above
    except ValueError as error:
        raise BadData(f"{escaped(path)}: {error}; nothing was published") from None
    return Source(path, name, found.st_dev, artifacts.fingerprint(found))


def _what_is_there(part: str) -> str:
    """What there is at the place itself, or in its nearest ancestor that exists."""
    place = nearest_directory(os.path.abspath(part))  # noqa: PTH100 - as above
    try:
        names = sorted(os.listdir(place))  # noqa: PTH208 - as above
    except OSError as error:
        return f"{escaped(place)} cannot be listed: {error.strerror}"
    if not names:
        return f"{escaped(place)} is empty"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"in {escaped(place)} there is {', '.join(escaped(name) for name in names[:_SHOWN])}{more}"


def nearest_directory(place: str) -> str:
    """Return the path if a directory has it, else the nearest directory above it that is there."""
    while not os.path.isdir(place):  # noqa: PTH112 - as above
        place = os.path.dirname(place) or "."  # noqa: PTH120 - as above
    return place


# -- how they change --------------------------------------------------------------------------------------------


def places(part: str) -> set[str]:
    """The directories in which something happens when what a part of the setting selects changes; some may not exist.

    Where a link leads matters as well as where it stands: it may be replaced, and what it leads to, too.
    """
    found = {part} if os.path.isdir(part) else {os.path.dirname(part) or "."}  # noqa: PTH112, PTH120 - as above
    if os.path.islink(part):  # noqa: PTH114 - as above
        found.add(os.path.dirname(part) or ".")  # noqa: PTH120 - as above
    with suppress(OSError):
        for path in _wars(part):
            found |= {os.path.dirname(path), os.path.dirname(resolve_links(path))}  # noqa: PTH120 - as above
    if _MAGIC & set(part) and not os.path.lexists(part):
        found.add(_without_magic(part))
    return {resolve_links(place) for place in found} | found


def resolve_links(path: str) -> str:
    """The path without links; as it is where the kernel does not follow it (a circle, a chain of more than 40 links).

    `realpath` alone would follow such a chain link by link, one call of a function in another.
    """
    return os.path.realpath(path) if os.path.exists(path) else path  # noqa: PTH110 - as above


def _without_magic(pattern: str) -> str:
    """The deepest directory of a glob that is named in full."""
    head = pattern[: min(pattern.index(char) for char in _MAGIC if char in pattern)]
    return os.path.dirname(head) or "."  # noqa: PTH120 - as above


def fingerprint_of(path: str) -> artifacts.Fingerprint | None:
    try:
        return artifacts.fingerprint(os.stat(path))  # noqa: PTH116 - as above
    except OSError:
        return None


# -- what they should be ------------------------------------------------------------------------------------------


class ExpectedDigests:
    """The digest that each source should have: WARCOPIER_SHA256, or what a `SHA256SUMS` beside the source says."""

    def __init__(self, settings: Settings) -> None:
        self._sha256 = settings.sha256
        self._required = settings.require_sha256
        self._sums: dict[str, dict[str, str]] = {}

    def of(self, source: Source) -> str:
        """The digest; "" where none is known and none is demanded. Raises BadData or IOFailed."""
        if self._sha256:
            return self._sha256
        place = sums_path(source)
        if place not in self._sums:
            self._sums[place] = _sums(place)
        found = self._sums[place].get(os.path.basename(source.path), "")  # noqa: PTH119 - as above
        if self._required and not found:
            raise BadData(
                f"{escaped(source.path)}: WARCOPIER_REQUIRE_SHA256=true, and neither WARCOPIER_SHA256 nor a line of"
                f" {escaped(place)} says which digest it should have; nothing was published"
            )
        return found


def sums_path(source: Source) -> str:
    """Where the digests of the source would stand."""
    return os.path.join(os.path.dirname(source.path), sha256sums.FILE)  # noqa: PTH118, PTH120 - as above


def _sums(place: str) -> dict[str, str]:
    try:
        raw = io_errors.read_small_file(place, sha256sums.LARGEST)
    except FileNotFoundError:
        if os.path.islink(place):  # noqa: PTH114 - as above
            raise BadData(
                f"{escaped(place)}: it is a link to nothing, so no digest is known; nothing was published"
            ) from None
        return {}
    try:
        return sha256sums.parse(raw.removeprefix(_BYTE_ORDER_MARK).decode(errors="surrogateescape"))
    except ValueError as error:
        raise BadData(f"{escaped(place)}: {error}; nothing was published") from None
