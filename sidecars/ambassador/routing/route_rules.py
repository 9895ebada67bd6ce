"""The setting ROUTE: which requests of a port are for an upstream. No I/O.

    /orders                         a path prefix, of whole segments
    host=orders.local               the name in Host or `:authority`, without its port; `*.local` is any name below
    header:x-tenant=blue            a field with exactly this value; without a value: the field is there
    /orders header:x-tenant=blue    all of several conditions
    /orders, host=orders.local      one of several rules

The most specific rule decides, in any order of the settings (`RouteRule.rank`).

Rules are shown in `/status` and elsewhere. The value of a field whose name may be that of a secret, such as
`x-api-key`, is shown as `***` there, and is searched for in all outputs.
"""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.fields import may_be_secret
from sidecars.chassis.config.setting_types import HIDDEN, fixed_secret

_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+=:@-]+)*/?").fullmatch
_HOST: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]").fullmatch
_HEADER: Final = re.compile(rf"header:({_NAME})(?:=([\x21-\x7e]+))?").fullmatch
# They frame a message, belong to one connection, or are written anew: nothing is decided by them.
_NOT_CONDITIONS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "grpc-timeout",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_EXPECTED: Final = (
    "expected /path, host=name, host=*.name, header:name=value or header:name, several with blanks between them; "
    "commas separate alternatives"
)

Rank = tuple[int, int, int, int, int]


class HeaderCondition:
    """A condition on a field: its name in lower case, and its value; "" if it only has to be there.

    As text it has no secret. `text` has the value.
    """

    __slots__ = ("find", "name", "secret", "text", "value")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value.encode()
        self.text = f"header:{name}={value}" if value else f"header:{name}"
        self.secret = fixed_secret(value) if value and may_be_secret(name) else None
        self.find = re.compile(rb"\r\n%b: ([^\r]*)" % re.escape(name.encode()), re.IGNORECASE).findall

    def holds(self, lines: bytes) -> bool:
        """Return True if the field is among the lines. A field that is repeated has all its values (RFC 9110 5.3)."""
        found: list[bytes] = self.find(lines)
        return bool(found) and (not self.value or b", ".join(found) == self.value)

    def __str__(self) -> str:
        return self.text if self.secret is None else f"header:{self.name}={HIDDEN}"


def _text(condition: HeaderCondition) -> str:
    return condition.text


class RouteRule:
    """One rule: conditions that all hold. Without any it is for every request.

    `host` is in lower case, b"" for any; `path` is a prefix without a slash at its end, b"" for any.
    """

    __slots__ = ("headers", "host", "path", "shown", "suffix", "text")

    def __init__(self, host: str = "", path: str = "", headers: tuple[HeaderCondition, ...] = ()) -> None:
        self.host = host.encode()
        self.suffix = self.host[1:] if self.host.startswith(b"*") else b""
        self.path = path.encode()
        self.headers = tuple(sorted(headers, key=_text))
        parts = [path or "/" * (not host and not headers), f"host={host}" * bool(host)]
        # `text` is the same for the same rule, however it was written. `shown` has no secret.
        self.text = " ".join(filter(None, (*parts, *map(_text, self.headers))))
        self.shown = " ".join(filter(None, (*parts, *map(str, self.headers))))

    def __str__(self) -> str:
        return self.shown

    @property
    def rank(self) -> Rank:
        """How specific it is: exact hosts before those with `*`, then long ones, long paths, and many conditions."""
        kind = 0 if not self.host else 1 if self.suffix else 2
        values = sum(bool(header.value) for header in self.headers)
        return kind, len(self.host), len(self.path), len(self.headers), values

    def takes_host(self, name: bytes) -> bool:
        """Return True for this name of a host, in lower case and without a port; b"" if the request has none."""
        if self.suffix:
            return name.endswith(self.suffix) and len(name) > len(self.suffix)
        return not self.host or name == self.host


def parse_rules(raw: str) -> tuple[RouteRule, ...]:
    """Return the rules of one upstream. Raises ValueError."""
    rules = [_parse_rule(part.split(), f"rule {number}: ") for number, part in enumerate(raw.split(","), 1)]
    if len({rule.text for rule in rules}) < len(rules):
        raise ValueError("expected each rule once")
    return tuple(rules)


def _parse_rule(words: list[str], where: str) -> RouteRule:
    host, path = "", None
    headers: dict[str, HeaderCondition] = {}
    for word in words:
        if word.startswith("/"):
            if path is not None:
                raise ValueError(f"{where}expected one path; commas separate alternatives")
            path = _parse_path(word, where)
        elif word.startswith("host="):
            if host:
                raise ValueError(f"{where}expected one host; commas separate alternatives")
            host = _parse_host(word[5:], where)
        else:
            condition = _parse_header(word, where)
            if condition.name in headers:
                raise ValueError(f"{where}expected one condition on each field")
            headers[condition.name] = condition
    if not words:
        raise ValueError(f"{where}{_EXPECTED}")
    return RouteRule(host, path or "", tuple(headers.values()))


def _parse_path(word: str, where: str) -> str:
    if not _PATH(word) or any(segment in (".", "..") for segment in word.split("/")):
        raise ValueError(
            f"{where}expected a path such as /orders, of letters, digits and -._~!$&'()*+=:@, without empty or dot "
            "segments"
        )
    return word.removesuffix("/")


def _parse_host(name: str, where: str) -> str:
    if not _HOST(name):
        raise ValueError(f"{where}expected a host name or address without a port, or *. and a name")
    return name.lower()


def _parse_header(word: str, where: str) -> HeaderCondition:
    found = _HEADER(word)
    if not found:
        raise ValueError(f"{where}{_EXPECTED}")
    name, value = found[1].lower(), found[2] or ""
    if name == "host":
        raise ValueError(f"{where}expected host=name for the field Host")
    if name in _NOT_CONDITIONS:
        raise ValueError(f"{where}{name} frames a message or belongs to one connection: nothing is decided by it")
    if name in _SECRET and value:
        raise ValueError(f"{where}the value of {name} is a secret, and rules are shown: write header:{name} alone")
    return HeaderCondition(name, value)
