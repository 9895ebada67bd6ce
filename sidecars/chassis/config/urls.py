"""URLs and request targets as settings. The type decides which parts are shown: never user info, a query or a fragment.

A path may be a secret, too: a webhook's token is a part of its path. `hidden` shows none of it, `path_only` shows the
path of a request to a neighbour, which an operator must see to understand why it fails.

    https://joe:pw@host:8443/in/TOKEN?key=SECRET   is shown as   https://***@host:8443/***?***    (`hidden`)
    /metrics;id=SECRET?key=SECRET                  is shown as   /metrics;***?***                 (`path_only`)

The part that is not shown is returned by `Url.target.reveal`. A test of the repository lists the modules that call it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidecars.chassis.config.setting_types import HIDDEN, Address, SettingType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from urllib.parse import SplitResult

DEFAULT_PORTS = {"http": 80, "https": 443}

_TOKEN = re.compile(r"(?=.*[0-9]).{16,}")  # of a path or a query: it looks like a secret
_SECRET_NAME = re.compile(r"key|token|secret|passw|pwd|sig|auth|cred|^code$", re.IGNORECASE)
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}")
_LOOPBACKS = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]")
# User info ends at the last @ before the path. If the text behind its colon is no port, it may be a password with a
# slash that is not escaped; then the user info ends at the last @ of all: better to hide too much than too little.
_CREDENTIALS = re.compile(
    r"(?i)(?<=://)(?:[^/?#:\[\s,]*:(?![0-9]{1,5}(?:[/?#,\s]|$))(?:(?!,\w+://)\S)*@|[^/?#\s]*@)"
    r"|(?<=[?&;])([\w.-]*(?:key|token|secret|password|sig)[\w.-]*=)[^&;,\s]*"
)


def redact_credentials(text: str) -> str:
    """Return the text with each credential of a URL (user info, `?token=`) replaced by `***`.

    For a wrong value of a setting that should hold no URL at all.
    """
    return _CREDENTIALS.sub(lambda found: f"{found[1]}{HIDDEN}" if found[1] else f"{HIDDEN}@", text)


def _secret_parameters(query: str) -> list[str]:
    """Return the values of the parameters whose names say that they are secrets, and these pairs of name and value.

    The pair is there since the scrubber does not search for a text of less than 8 bytes.
    """
    found = []
    for pair in re.split("[&;]", query):
        name, _, value = pair.partition("=")
        if value and "{" not in value and _SECRET_NAME.search(name):
            found += [value, pair]
    return found


# -- what is shown of a path and a query ----------------------------------------------------------------------------


def hidden(path: str) -> str:
    """Show nothing of a path but that there is one."""
    return path if path in ("", "/") else f"/{HIDDEN}"


def path_only(path: str) -> str:
    """Show a path without its parameters, which follow a `;` (RFC 3986, section 3.3)."""
    shown, parameters, _ = path.partition(";")
    return f"{shown};{HIDDEN}" if parameters else shown


class RequestTarget:
    """The path and the query of a URL. As text it is the parts that may be shown; equality is that of the whole."""

    __slots__ = ("_hash", "_raw", "_shown")

    def __init__(self, raw: str, show_path: Callable[[str], str] = path_only) -> None:
        self._raw = raw
        self._hash = hash(raw)
        path, question_mark, query = raw.partition("?")
        shown_path = show_path(path)
        self._shown = shown_path + (f"?{HIDDEN}" if question_mark else "")
        hidden_parts = {*re.split("[&;=]", query), *re.split("[/;=]", path)} - set(re.split("[/;=]", shown_path))
        self._hide(hidden_parts, _secret_parameters(query) + _secret_parameters(path.partition(";")[2]))

    def _hide(self, parts: Iterable[str], secrets: Iterable[str]) -> None:
        """Hide secrets in all outputs, and the parts that look like one. Words such as `push` and `json` do not."""
        texts = {text for text in parts if _TOKEN.fullmatch(text)}.union(secrets)
        if texts:
            from urllib.parse import unquote  # noqa: PLC0415 - few URLs have a secret

            from sidecars.chassis.runtime import scrubber  # noqa: PLC0415 - few URLs have a secret

            scrubber.hide(self, [each for text in texts for each in {text, unquote(text)}])

    def reveal(self) -> str:
        """Return the whole target, as it is sent."""
        return self._raw

    def __str__(self) -> str:
        return self._shown

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestTarget) and self._raw == other._raw

    def __hash__(self) -> int:
        return self._hash


class Url:
    """A URL. As text it is the parts of it that may be shown: the scheme, the host, the port, and what `target` shows.

    hostname   without the brackets of an IPv6 address; "" if there is none
    port       None if the URL has none
    host_port  the host and the port as they are written, without user info; `hosts` if the URL has a list of them
    """

    __slots__ = ("_prefix", "host_port", "hostname", "port", "scheme", "target")

    def __init__(self, parts: SplitResult, show_path: Callable[[str], str] = hidden, hosts: str = "") -> None:
        self.scheme = parts.scheme
        self.hostname = parts.hostname or ""
        self.port = parts.port
        user, _, host_port = parts.netloc.rpartition("@")
        self.host_port = hosts or host_port
        self._prefix = f"{parts.scheme}:" if not (parts.netloc or parts.path) else f"{parts.scheme}://"
        self._prefix += f"{HIDDEN}@" if user else ""
        self.target = RequestTarget(f"{parts.path}?{parts.query}" if parts.query else parts.path, show_path)

    def with_target(self, target: RequestTarget) -> Url:
        """Return the URL of another target on the same host."""
        made = object.__new__(Url)
        for name in ("_prefix", "scheme", "hostname", "port", "host_port"):
            setattr(made, name, getattr(self, name))
        made.target = target
        return made

    def __str__(self) -> str:
        return f"{self._prefix}{self.host_port}{self.target}"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self.target)

    def _key(self) -> tuple[str, str, RequestTarget]:
        return self.scheme, self.host_port, self.target


def is_loopback(host: str) -> bool:
    """Return True if the host is this one: what is sent to it stays in the Pod."""
    host = host.lower().rstrip(".")
    return host in ("localhost", "::1") or host.endswith(".localhost") or bool(_LOOPBACK.fullmatch(host))


def overlap(one: Address, other: Address) -> bool:
    """Return True if one process cannot listen on both addresses."""
    if one.path or other.path:
        return one.path == other.path
    if one.port != other.port or not one.port:
        return False
    if one.host in _LOOPBACKS and other.host in _LOOPBACKS:
        return True  # both are bound for IPv4 and IPv6
    return one.host == other.host or one.host in _EVERYWHERE or other.host in _EVERYWHERE


# -- types of settings ------------------------------------------------------------------------------------------------


def split_url(raw: str, schemes: tuple[str, ...]) -> SplitResult:
    """Return the parts of a URL with one of the schemes and a host. A port, if there is one, is from 1 to 65535.

    Raises ValueError with the expected form. It never repeats the text.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415 - the ambassador has no URL with a path

    wanted = " or ".join(f"{scheme}://host[:port]" for scheme in schemes)
    if _BLANKS.search(raw):
        raise ValueError(f"expected {wanted}, without spaces")
    try:
        parts = urlsplit(raw)
        known = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a bad port or a bad IPv6 literal
        known = False
    if not known:
        first = f"{schemes[0]}://" if len(schemes) == 1 else "one of these"
        missing = "" if "://" in raw else f"; it has no scheme: write {first} before it"
        raise ValueError(f"expected {wanted}{missing}")
    return parts


def url(*schemes: str) -> SettingType[Url]:
    """Return the type of a URL with one of the schemes. It has no user info: nothing would send it."""

    def parse(raw: str) -> Url:
        parts = split_url(raw, schemes)
        if "@" in parts.netloc:
            raise ValueError("expected a URL without user info: nothing would send it; credentials have their settings")
        return Url(parts)

    return SettingType("URL", parse, sensitive=True)
