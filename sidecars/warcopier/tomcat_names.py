"""Names: the context that Tomcat reads from a file's name, and names beside its WARs that Tomcat never deploys.

Tomcat (HostConfig) deploys every regular file of its appBase whose name ends in `.war`, in any case, as soon as it sees
it. It also deploys every directory, dot directories too, except `META-INF` and `WEB-INF`. Tomcat has no name for a
temporary file. So an unfinished file gets a name that does not end in `.war`, and an unfinished directory lies in
`META-INF`.

The name contains the context (ContextName): `ROOT.war` is the root context, `shop#admin.war` is `/shop/admin`,
`shop##42.war` is version 42 of `/shop`. Tomcat refuses a path that is not normalized (`/../`, `//`), and so do we.
"""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

WAR_SUFFIX = ".war"
MANIFEST = ".warcopier.json"
NEVER_DEPLOYED = ("META-INF", "WEB-INF")  # directories of the appBase, in any case
META_INF = "META-INF"  # exploded directories are staged below it
WAR_TRACKER = "META-INF/war-tracker"  # Tomcat writes it into a directory that it unpacked, with the WAR's mtime
_PREFIX = ".warcopier-"
_STAGING = ".staging"
_LOCK = ".lock"
_TOKEN_DIGITS = 16  # hexadecimal
_VERSION_MARKER = "##"
_MAX_CHARACTERS = 200  # of a name in a message
_MAX_BYTES = 255  # of a file's name (NAME_MAX of ext4, xfs, btrfs and tmpfs)


@dataclass(frozen=True)
class ContextName:
    """The context path and the version under which Tomcat serves a WAR: `path` "" is the root, `version` "" is none."""

    path: str
    version: str


def is_war(filename: str) -> bool:
    """True if Tomcat would deploy a file with this name."""
    return filename.lower().endswith(WAR_SUFFIX)


def published_name(filename: str) -> str:
    """Return the name to publish under: with `.war` in lower case, the only form that some of Tomcat's lookups know.

    Raises ValueError, which gives the reason, if Tomcat could not serve a WAR of that name.
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
    if len(name.encode(errors="surrogateescape")) > _MAX_BYTES:
        raise ValueError(f"its name is longer than {_MAX_BYTES} bytes")
    return name


def context_name(war: str) -> ContextName:
    """Return the context that Tomcat reads from the name of a WAR (the rules of its class ContextName)."""
    base = war[: -len(WAR_SUFFIX)]
    if base.startswith(_VERSION_MARKER):
        base = f"ROOT{base}"
    name, _, version = base.partition(_VERSION_MARKER)
    return ContextName("" if name == "ROOT" else "/" + name.replace("#", "/"), version)


def directory_context_name(directory: str) -> ContextName:
    """Return the context that Tomcat reads from the name of an exploded directory."""
    return context_name(f"{directory}{WAR_SUFFIX}")


def exploded_directory_name(war: str) -> str:
    """Return the name of the directory, beside the WAR, into which Tomcat unpacks it."""
    base = war[: -len(WAR_SUFFIX)]
    return f"ROOT{base}" if base.startswith(_VERSION_MARKER) else base


# -- WARCOPIER_CONTEXT_PATH and WARCOPIER_VERSION -------------------------------------------------------------------


def parse_context_path(path: str) -> str:
    """Return the path unchanged. Raises ValueError if Tomcat could not serve an application there."""
    parts = path.removeprefix("/").split("/")
    if not path.startswith("/") or (path != "/" and any(part in ("", ".", "..") for part in parts)) or path == "/ROOT":
        raise ValueError("expected a path such as / or /shop/admin, without a slash at its end")
    if not path.isprintable() or any(char in path for char in "#\\?%;"):
        raise ValueError("expected a path without #, \\, ?, %, ; and control characters")
    return path


def parse_version(version: str) -> str:
    """Return the version unchanged. Raises ValueError if it cannot stand in a file's name as Tomcat reads it."""
    if not version.isprintable() or any(char in version for char in "/\\#"):
        raise ValueError("expected a version without /, \\, # and control characters")
    return version


def renamed(war: str, context_path: str | None, version: str | None) -> str:
    """Return the name that gives a WAR this context path and this version; None keeps the one in its present name.

    Raises ValueError, which gives the reason, if there is no such name.
    """
    base, marker, given = war[: -len(WAR_SUFFIX)].partition(_VERSION_MARKER)
    if context_path is not None:
        base = context_path.strip("/").replace("/", "#") or "ROOT"
    suffix = f"{_VERSION_MARKER}{version}" if version is not None else f"{marker}{given}"
    return published_name(f"{base}{suffix}{WAR_SUFFIX}")


# -- versions -------------------------------------------------------------------------------------------------------


def version_sort_key(version: str) -> bytes:
    """Return the sort key that orders versions as `String.compareTo` does, by UTF-16 units: 10 < 9, and none < any."""
    return version.encode("utf-16-be", "surrogatepass")


def newer_versions(context: ContextName, there: Iterable[ContextName]) -> list[str]:
    """Return the versions of the same context path that Tomcat prefers to this one, the newest last."""
    versions = {other.version for other in there if other.path == context.path}
    return sorted(
        (one for one in versions if version_sort_key(one) > version_sort_key(context.version)), key=version_sort_key
    )


# -- names of lock files and staging files, which Tomcat never deploys ----------------------------------------------


def lock_name(token: str) -> str:
    """Return the name of the lock file of a run. The run is alive as long as a process holds a lock on it."""
    return f"{_PREFIX}{token}{_LOCK}"


def staging_name(token: str, number: int) -> str:
    """Return the name of the `number`th staged file or directory of the run with this token."""
    return f"{_PREFIX}{token}-{number}{_STAGING}"


def run_token(filename: str) -> str | None:
    """Return the token of the run that made this lock or staging file; None if the name is not exactly one of ours."""
    if not filename.startswith(_PREFIX):
        return None
    token, rest = filename[len(_PREFIX) :][:_TOKEN_DIGITS], filename[len(_PREFIX) + _TOKEN_DIGITS :]
    if len(token) != _TOKEN_DIGITS or not all(digit in "0123456789abcdef" for digit in token):
        return None
    number = rest.removeprefix("-").removesuffix(_STAGING)
    is_staging = rest == f"-{number}{_STAGING}" and number.isascii() and number.isdigit()
    return token if rest == _LOCK or is_staging else None


# -- names in messages ----------------------------------------------------------------------------------------------


def escaped(name: str) -> str:
    """Return the name with escapes for control characters and for bytes that are not text, for use in a sentence."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def escaped_prefix(name: str) -> str:
    """Return `escaped(name)`, cut after 200 characters: a name in an archive may have any length."""
    return escaped(name) if len(name) <= _MAX_CHARACTERS else f"{escaped(name[:_MAX_CHARACTERS])}…"


def utf8_text(name: str) -> str:
    """Return the name with escapes for bytes that are not text, so that it can be encoded as UTF-8."""
    return name.encode(errors="backslashreplace").decode()
