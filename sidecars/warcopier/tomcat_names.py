"""Names: what Tomcat makes of a file's name, and the names under which we may keep things beside its WARs.

Tomcat (HostConfig) deploys *every* regular file of its appBase whose name ends in `.war`, in any case, the moment it
sees it, and *every* directory but `META-INF` and `WEB-INF`, dot directories too. There is no name that it takes for
temporary. So what is not finished is a file that does not end in `.war`, or a directory in `META-INF`.

The context is in the name (ContextName): `ROOT.war` is the root, `shop#admin.war` is `/shop/admin`, `shop##42.war` is
version 42 of `/shop`. A path that is not normalized (`/../`, `//`) is refused by Tomcat, and so it is here.
"""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

WAR_SUFFIX = ".war"
MANIFEST = ".warcopier.json"
NEVER_DEPLOYED = ("META-INF", "WEB-INF")  # directories that Tomcat takes for no application, in any case
META_INF = "META-INF"  # below it, staged directories
WAR_TRACKER = "META-INF/war-tracker"  # by which Tomcat knows a directory that it has unpacked; its time is the WAR's
_OURS = ".warcopier-"
_STAGING = ".staging"
_LOCK = ".lock"
_TOKEN = 16  # hexadecimal digits
_VERSION_MARKER = "##"
_SHOWN = 200  # characters of a name of any length in a message
_LONGEST = 255  # bytes of a file's name, on every file system of Linux that matters


@dataclass(frozen=True)
class ContextName:
    """Where Tomcat serves a WAR: `path` "" is the root, `version` "" is no version."""

    path: str
    version: str


def is_war(filename: str) -> bool:
    """Whether Tomcat would deploy a file of that name."""
    return filename.lower().endswith(WAR_SUFFIX)


def published_name(filename: str) -> str:
    """The name to publish under: `.war` in lower case, since some of Tomcat's own lookups know only that.

    Raises ValueError with the reason when Tomcat could not serve it.
    """
    if not is_war(filename):
        raise ValueError("its name does not end in .war, so Tomcat would not deploy it")
    name = filename[: -len(WAR_SUFFIX)] + WAR_SUFFIX
    context = context_name(name)
    if name == WAR_SUFFIX:
        raise ValueError("it has no name before .war")
    parts = context.path.split("/")[1:]
    if "\\" in name or any(part in (".", "..") for part in parts) or "" in parts[:-1]:
        raise ValueError(f"its name stands for the path {escaped(context.path)}, which Tomcat refuses")
    if len(name.encode(errors="surrogateescape")) > _LONGEST:
        raise ValueError(f"its name is longer than {_LONGEST} bytes")
    return name


def context_name(war: str) -> ContextName:
    """The context that Tomcat gives a WAR of that name (the rules of ContextName)."""
    base = war[: -len(WAR_SUFFIX)]
    if base.startswith(_VERSION_MARKER):
        base = f"ROOT{base}"
    name, _, version = base.partition(_VERSION_MARKER)
    return ContextName("" if name == "ROOT" else "/" + name.replace("#", "/"), version)


def directory_context_name(directory: str) -> ContextName:
    """The context that Tomcat gives a directory of that name."""
    return context_name(f"{directory}{WAR_SUFFIX}")


def exploded_directory_name(war: str) -> str:
    """The directory beside the WAR into which Tomcat unpacks it."""
    base = war[: -len(WAR_SUFFIX)]
    return f"ROOT{base}" if base.startswith(_VERSION_MARKER) else base


# -- names that are asked for --------------------------------------------------------------------------------------


def parse_context_path(path: str) -> str:
    """The path as it was given. Raises ValueError when Tomcat could not serve an app there."""
    parts = path.removeprefix("/").split("/")
    if not path.startswith("/") or (path != "/" and any(part in ("", ".", "..") for part in parts)) or path == "/ROOT":
        raise ValueError("expected a path such as / or /shop/admin, without a slash at its end")
    if not path.isprintable() or any(char in path for char in "#\\?%;"):
        raise ValueError("expected a path without #, \\, ?, %, ; and control characters")
    return path


def parse_version(version: str) -> str:
    """The version as it was given. Raises ValueError when it cannot be part of a file's name as Tomcat reads it."""
    if not version.isprintable() or any(char in version for char in "/\\#"):
        raise ValueError("expected a version without /, \\, # and control characters")
    return version


def renamed(war: str, context_path: str | None, version: str | None) -> str:
    """The name to publish a WAR under, so that Tomcat serves it there and as that version. None: as its name says.

    Raises ValueError with the reason when there is no such name.
    """
    base, marker, given = war[: -len(WAR_SUFFIX)].partition(_VERSION_MARKER)
    if context_path is not None:
        base = context_path.strip("/").replace("/", "#") or "ROOT"
    suffix = f"{_VERSION_MARKER}{version}" if version is not None else f"{marker}{given}"
    return published_name(f"{base}{suffix}{WAR_SUFFIX}")


# -- versions -----------------------------------------------------------------------------------------------------


def version_sort_key(version: str) -> bytes:
    """Sorts as Tomcat sorts, by `String.compareTo`: by UTF-16 units, so that 10 is older than 9, and none than any."""
    return version.encode("utf-16-be", "surrogatepass")


def newer_versions(context: ContextName, there: Iterable[ContextName]) -> list[str]:
    """The versions of the same path that Tomcat would prefer to this one, the newest last."""
    versions = {other.version for other in there if other.path == context.path}
    return sorted(
        (one for one in versions if version_sort_key(one) > version_sort_key(context.version)), key=version_sort_key
    )


# -- names of our own, which Tomcat never deploys -----------------------------------------------------------------


def lock_name(token: str) -> str:
    """The file whose lock says that the run with this token is alive."""
    return f"{_OURS}{token}{_LOCK}"


def staging_name(token: str, number: int) -> str:
    """The `number`th unfinished file of the run with this token."""
    return f"{_OURS}{token}-{number}{_STAGING}"


def run_token(filename: str) -> str | None:
    """The token of the run that a lock or staging file belongs to; None for whatever is not exactly ours."""
    if not filename.startswith(_OURS):
        return None
    token, rest = filename[len(_OURS) :][:_TOKEN], filename[len(_OURS) + _TOKEN :]
    if len(token) != _TOKEN or not all(digit in "0123456789abcdef" for digit in token):
        return None
    number = rest.removeprefix("-").removesuffix(_STAGING)
    is_staging = rest == f"-{number}{_STAGING}" and number.isascii() and number.isdigit()
    return token if rest == _LOCK or is_staging else None


# -- names for people ---------------------------------------------------------------------------------------------


def escaped(name: str) -> str:
    """The name as it can stand in a sentence: a newline, or bytes that are no text, are written as escapes."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def escaped_prefix(name: str) -> str:
    """The same for a name of any length, such as one in an archive: at most its first 200 characters."""
    return escaped(name) if len(name) <= _SHOWN else f"{escaped(name[:_SHOWN])}…"


def utf8_text(name: str) -> str:
    """The name as UTF-8 can carry it: bytes that are no text are written as escapes."""
    return name.encode(errors="backslashreplace").decode()
