"""The sink registry: the table of sinks by the scheme of the sink's URL.

To add a sink, write its module in `sinks` and its row here. The row has the form of its URL, and the settings that it
uses. A setting that no configured sink uses is an error at the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urlsplit

from sidecars.chassis.config import urls
from sidecars.chassis.config.setting_types import HIDDEN
from sidecars.chassis.config.urls import Url
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot

_INDEX = re.compile(r"[^A-Z\\/*?\"<>| ,#:+_.-][^A-Z\\/*?\"<>| ,#:]{0,254}")
_TAG = re.compile(r"[\w.-]{1,255}", re.ASCII)
_HTTP = frozenset({"sink_token", "sink_username", "sink_password", "sink_headers"})
_SHARED_KEY = frozenset({"sink_token", "sink_username", "sink_password"})
_TLS = frozenset({"sink_ca", "sink_cert", "sink_key"})


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row of the table."""

    module: str  # in `sidecars.logshipper.sinks`
    url_form: str  # the form of its URLs, for messages
    check: Callable[[SplitResult], bool]  # returns True if the path, query and fragment are right
    uses: frozenset[str] = frozenset()  # fields of `SinkSettings`, beside those that all sinks use
    compression: tuple[str, ...] = ("none",)
    show_path: Callable[[str], str] = urls.hidden  # returns what is shown of the path: a webhook's may be its secret


def _any(_url: SplitResult) -> bool:
    return True


def _nothing(parts: SplitResult) -> bool:
    return parts.geturl() in ("stdout:", "stdout://")


def _directory(parts: SplitResult) -> bool:
    return not parts.netloc and parts.path.startswith("/") and not (parts.query or parts.fragment)


def _index(parts: SplitResult) -> bool:
    return bool(_INDEX.fullmatch(unquote(parts.path.rpartition("/")[2]))) and not parts.fragment


def _tag(parts: SplitResult) -> bool:
    tag = parts.path.removeprefix("/")
    return (not tag or bool(_TAG.fullmatch(tag))) and not (parts.query or parts.fragment)


def _host(parts: SplitResult) -> bool:
    return parts.path in ("", "/") and not (parts.query or parts.fragment)


def _all_of_it(path: str) -> str:
    """Show the path of a local directory, or a tag."""
    return path


def _index_only(path: str) -> str:
    """Show the name of the index, which is the last segment."""
    before, _, index = path.rpartition("/")
    return f"/{HIDDEN}/{index}" if before else f"/{index}"


def _plain_and_tls(plain: str, tls: str, scheme: Scheme) -> dict[str, Scheme]:
    """Return the two rows of a sink that has a scheme without TLS and one with TLS."""
    return {plain: scheme, tls: replace(scheme, uses=scheme.uses | _TLS)}


SCHEMES = {
    "stdout": Scheme("stdout", "stdout:", _nothing),
    "file": Scheme(
        "file",
        "file:///directory",
        _directory,
        frozenset({"sink_rotate_size", "sink_rotate_count"}),
        show_path=_all_of_it,
    ),
    **_plain_and_tls(
        "http",
        "https",
        Scheme("http", "http(s)://host[:port]/path", _any, _HTTP, ("none", "gzip", "zstd")),
    ),
    **_plain_and_tls(
        "loki+http",
        "loki+https",
        Scheme("loki", "loki+http(s)://host[:port]", _any, _HTTP, ("none", "gzip", "snappy")),
    ),
    **_plain_and_tls(
        "elasticsearch+http",
        "elasticsearch+https",
        Scheme(
            "elasticsearch",
            "elasticsearch+http(s)://host[:port]/index",
            _index,
            _HTTP,
            ("none", "gzip"),
            show_path=_index_only,
        ),
    ),
    **_plain_and_tls(
        "otlp+http",
        "otlp+https",
        Scheme("otlp", "otlp+http(s)://host[:port]", _any, _HTTP, ("none", "gzip")),
    ),
    **_plain_and_tls(
        "forward",
        "forward+tls",
        Scheme(
            "forward",
            "forward(+tls)://host[:port][/tag]",
            _tag,
            _SHARED_KEY,
            ("none", "gzip", "zstd"),
            show_path=_all_of_it,
        ),
    ),
    **_plain_and_tls(
        "syslog+tcp",
        "syslog+tls",
        Scheme("syslog", "syslog+tcp://host[:port], syslog+tls://host[:port]", _host),
    ),
}
_WITHOUT_CREDENTIALS = (
    "expected a URL without credentials; those belong in SINK_TOKEN, or SINK_USERNAME and SINK_PASSWORD"
)


def of(url: Url) -> Scheme:
    """Return the row of a URL that `parse` has accepted."""
    return SCHEMES[url.scheme]


def roots_of(url: Url) -> Iterable[DeclaredRoot]:
    """Return the directory that a sink writes to, if it has one."""
    return roots.to_write(str(url.target)) if of(url).module == "file" else ()


def short_name(url: Url) -> str:
    """Return the receiver in words: `loki http://loki:3100`, `stdout`, `file:///out`. A path of a URL is left out."""
    if of(url).module in ("stdout", "file"):
        return str(url).rstrip(":")
    protocol, plus, scheme = url.scheme.partition("+")
    return f"{protocol} {scheme}://{url.host_port}" if plus else f"{protocol}://{url.host_port}"


def parse(raw: str) -> Url:
    """Return the URL of a sink. Raises ValueError with the expected form."""
    scheme = SCHEMES.get(raw.partition(":")[0])
    if scheme is None:
        url_forms = list(dict.fromkeys(scheme.url_form for scheme in SCHEMES.values()))
        raise ValueError(f"expected {', '.join(url_forms[:-1])} or {url_forms[-1]}")
    if scheme.module in ("stdout", "file"):
        parts = urlsplit(raw)
    elif not raw.isascii():
        raise ValueError("expected a URL in ASCII: a path percent-encoded, a host name in its xn-- form")
    else:
        parts = urls.split_url(raw, (raw.partition(":")[0],))
        if "@" in parts.netloc:
            raise ValueError(_WITHOUT_CREDENTIALS)
    if not scheme.check(parts):
        raise ValueError(f"expected {scheme.url_form}")
    return Url(parts, scheme.show_path)
