"""Names: what Tomcat makes of a file's name, and the names under which we may keep things beside its WARs.

Tomcat (HostConfig) deploys *every* regular file of its appBase whose name ends in `.war`, in any case, the moment it
sees it, and *every* directory but `META-INF` and `WEB-INF`, dot directories too. There is no name that it takes for
temporary. So what is not finished must be a file that does not end in `.war`, and never a directory.

The context is in the name (ContextName): `ROOT.war` is the root, `shop#admin.war` is `/shop/admin`, `shop##42.war` is
version 42 of `/shop`. A path that is not normalized (`/../`, `//`) is refused by Tomcat, and so it is here.
"""

from __future__ import annotations

from typing import NamedTuple

WAR = ".war"
RECORD = ".warcopier.json"
_OURS = ".warcopier-"
_STAGING = ".staging"
_LOCK = ".lock"
_TOKEN = 16  # hexadecimal digits
_VERSION_MARKER = "##"
_LONGEST = 255  # bytes of a file's name, on every file system of Linux that matters


class Context(NamedTuple):
    """Where Tomcat serves a WAR: `path` "" is the root, `version` "" is no version."""

    path: str
    version: str


def is_war(filename: str) -> bool:
    """Whether Tomcat would deploy a file of that name."""
    return filename.lower().endswith(WAR)


def published_name(filename: str) -> str:
    """The name to publish under: `.war` in lower case, since some of Tomcat's own lookups know only that.

    Raises ValueError with the reason when Tomcat could not serve it.
    """
    if not is_war(filename):
        raise ValueError("its name does not end in .war, so Tomcat would not deploy it")
    name = filename[: -len(WAR)] + WAR
    context = context_of(name)
    if name == WAR:
        raise ValueError("it has no name before .war")
    parts = context.path.split("/")[1:]
    if "\\" in name or any(part in (".", "..") for part in parts) or "" in parts[:-1]:
        raise ValueError(f"its name stands for the path {shown(context.path)}, which Tomcat refuses")
    if len(name.encode(errors="surrogateescape")) > _LONGEST:
        raise ValueError(f"its name is longer than {_LONGEST} bytes")
    return name


def context_of(war: str) -> Context:
    """The context that Tomcat gives a WAR of that name (the rules of ContextName)."""
    base = war[: -len(WAR)]
    if base.startswith(_VERSION_MARKER):
        base = f"ROOT{base}"
    name, _, version = base.partition(_VERSION_MARKER)
    return Context("" if name == "ROOT" else "/" + name.replace("#", "/"), version)


def unpacked_directory(war: str) -> str:
    """The directory beside the WAR into which Tomcat unpacks it."""
    base = war[: -len(WAR)]
    return f"ROOT{base}" if base.startswith(_VERSION_MARKER) else base


# -- names of our own, which Tomcat never deploys -----------------------------------------------------------------


def lock_name(token: str) -> str:
    """The file whose lock says that the run with this token is alive."""
    return f"{_OURS}{token}{_LOCK}"


def staging_name(token: str, number: int) -> str:
    """The `number`th unfinished file of the run with this token."""
    return f"{_OURS}{token}-{number}{_STAGING}"


def token_of(filename: str) -> str | None:
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


def shown(name: str) -> str:
    """The name as it can stand in a sentence: a newline, or bytes that are no text, are written as escapes."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
