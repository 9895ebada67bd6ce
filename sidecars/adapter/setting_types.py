"""Types of settings that only the adapter has. A refused value raises ValueError with the expected form."""

from __future__ import annotations

import re
from typing import Literal, get_args

from sidecars.chassis.config.setting_types import SettingType, comma_separated, duration, integer, pairs, text
from sidecars.chassis.config.urls import RequestTarget, Url, path_only, split_url
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, Generic, T, dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecars.adapter.health.json_paths import JsonPath

AUTO = "auto"

DialectName = Literal[
    "text", "kubernetes", "health+json", "spring", "microprofile", "consul", "nagios", "haproxy-agent"
]
"""The dialect of a verdict. `verdict.dialects` has the table."""

DIALECT_NAMES: tuple[DialectName, ...] = get_args(DialectName)

SourceFormat = Literal["auto", "text", "openmetrics", "json"]
"""The format of an app's response. `auto` follows the Content-Type, and the beginning and the end of the body."""

SOURCE_FORMATS: tuple[SourceFormat, ...] = get_args(SourceFormat)

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_ROUTE = re.compile(r"/[A-Za-z0-9._~!$&'()*+;:@/-]*")  # a path without escapes, so that it matches as it is written
_TARGET = re.compile(r"/[!\"$-~]*")  # all visible ASCII but `#`; it is the target of the request line
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_CODES = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")
_MIN_STATUS = 200  # of a final response
_WANTED = "expected http://host[:port] or https://host[:port]"


# -- the app's URL and the routes -----------------------------------------------------------------------------------


def _parse_target(raw: str) -> Url:
    parts = split_url(raw, ("http", "https"))
    if "@" in parts.netloc:
        raise ValueError(
            f"{_WANTED} without credentials: ADAPTER_TARGET_USERNAME and ADAPTER_TARGET_PASSWORD have those"
        )
    if parts.path not in ("", "/") or "?" in raw or "#" in raw:
        raise ValueError(f"{_WANTED} alone: the path that the app is asked for belongs in ROUTES")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError(f"{_WANTED} with a host name, an IPv4 address or an [IPv6 address]")
    return Url(parts, path_only)


def _parse_route(raw: str) -> str:
    if not _ROUTE.fullmatch(raw):
        raise ValueError("expected a path such as /health, without ? # or %, as the path that is served")
    return raw


def _parse_route_target(raw: str) -> RequestTarget:
    if not _TARGET.fullmatch(raw):
        raise ValueError("expected the app's path behind the =, such as /metrics, in visible ASCII without #")
    return RequestTarget(raw)


target_url = SettingType("URL", _parse_target, sensitive=True)
path = SettingType("path", _parse_route)
routes = pairs(path, SettingType("app's path", _parse_route_target, sensitive=True))


# -- values by route -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ByRoute(Generic[T]):
    """The value of a setting for all routes of an app, and the values of single paths that differ from it."""

    value: T
    exceptions: Mapping[str, T]

    def __getitem__(self, route: str) -> T:
        return self.exceptions.get(route, self.value)


def by_route(setting_type: SettingType[T], default: str) -> SettingType[ByRoute[T]]:
    """Return the type of `value`, or `value,/path=other,…`. With paths only, all other routes get `default`."""

    def parse(raw: str) -> ByRoute[T]:
        value, exceptions = None, {}
        for item in comma_separated(text).parse(raw):
            route, equals, chosen = (part.strip() for part in item.partition("="))
            if not equals:
                if value is not None:
                    raise ValueError("expected one value for all routes; others belong to a path, as /path=value")
                value = setting_type.parse(route)
            elif route in exceptions:
                raise ValueError(f"expected each path once, but {route} stands twice")
            else:
                exceptions[path.parse(route)] = setting_type.parse(chosen)
        return ByRoute(setting_type.parse(default) if value is None else value, exceptions)

    def show(chosen: ByRoute[T]) -> str:
        exceptions = (f"{route}={setting_type.show(value)}" for route, value in chosen.exceptions.items())
        return ",".join([setting_type.show(chosen.value), *exceptions])

    return SettingType(f"{setting_type.name}; or /path=…, …", parse, show)


# -- status words and HTTP statuses of the app ----------------------------------------------------------------------


def _parse_word(raw: str) -> str:
    from sidecars.adapter.health.status_words import normalize_word  # noqa: PLC0415 - loaded by few settings

    word = normalize_word(raw)
    if not word:
        raise ValueError("expected a status word of at most 64 characters")
    return word


def _parse_number(raw: str) -> float:
    if not _NUMBER.fullmatch(raw):
        raise ValueError(f"expected a number such as 1, 0 or 0.5, but there is {raw[:40]}")
    return float(raw)


status_values = pairs(
    SettingType("word", _parse_word), SettingType("number", _parse_number, lambda value: f"{value:.15g}")
)


@dataclass(frozen=True)
class StatusCodes:
    """A set of HTTP statuses: ranges, each with its first and its last status."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, status: object) -> bool:
        return isinstance(status, int) and any(first <= status <= last for first, last in self.ranges)


def _parse_status_codes(raw: str) -> StatusCodes:
    ranges = []
    for item in comma_separated(text).parse(raw):
        found = _CODES.fullmatch(item)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not _MIN_STATUS <= first <= last:
            raise ValueError("expected HTTP statuses such as 200 or 200-399, between 200 and 999")
        ranges.append((first, last))
    return StatusCodes(tuple(ranges))


def _show_status_codes(codes: StatusCodes) -> str:
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in codes.ranges)


status_codes = SettingType("status or range, …", _parse_status_codes, _show_status_codes)


# -- hysteresis ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Threshold:
    """The number of results in a row that change a verdict; or, if `seconds` is not 0, their duration."""

    count: int = 1
    seconds: float = 0.0


_COUNT = integer(1, 1000)
_TIME = duration("1ms", "24h")


def _parse_threshold(raw: str) -> Threshold:
    try:
        return Threshold(seconds=_TIME.parse(raw)) if raw.endswith(("s", "m", "h")) else Threshold(_COUNT.parse(raw))
    except ValueError:
        raise ValueError("expected a number from 1 to 1000, or a duration such as 10s, at most 24h") from None


def _show_threshold(threshold: Threshold) -> str:
    return _TIME.show(threshold.seconds) if threshold.seconds else _COUNT.show(threshold.count)


threshold = SettingType("number or duration", _parse_threshold, _show_threshold)


# -- rules and JSON paths: each grammar is imported only if its setting is used --------------------------------------


@dataclass(frozen=True)
class RulesText:
    """Rules that have been parsed once, so that they are valid. `file` is the file they came from; "" for none."""

    text: str
    file: str = ""


def _parse_rules(raw: str) -> RulesText:
    from sidecars.adapter.rules.rule import parse_rules  # noqa: PLC0415 - only an adapter with rules needs their grammar

    parse_rules(raw)
    return RulesText(raw)


def _show_rules(rules: RulesText) -> str:
    return "; ".join(line.strip() for line in rules.text.splitlines() if line.strip())


rules = SettingType("rules", _parse_rules, _show_rules, from_file=lambda value, name: replace(value, file=name))


def _parse_json_paths(raw: str) -> tuple[JsonPath, ...]:
    from sidecars.adapter.health.json_paths import parse_json_paths  # noqa: PLC0415 - few adapters select numbers

    return parse_json_paths(raw)


def _show_json_paths(value: tuple[JsonPath, ...]) -> str:
    from sidecars.adapter.health.json_paths import format_json_paths  # noqa: PLC0415 - few adapters select numbers

    return format_json_paths(value)


json_paths = SettingType("name=$.path; …", _parse_json_paths, _show_json_paths)
