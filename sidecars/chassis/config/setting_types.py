"""The types of settings: how a value is parsed, formatted, and named in the tables.

`parse` raises ValueError with the expectation (`expected true or false`). `settings` puts the variable's name and value
in front of it. A default is written as a user would write it, and is parsed like a user's value.
"""

from __future__ import annotations

from sidecars.chassis.isolation import roots
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, Generic, T, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any, TypeVar

    from sidecars.chassis.isolation.roots import DeclaredRoot

    N = TypeVar("N", int, float)

# Values are parsed by hand: even the import of `re` is a noticeable part of a job's start.
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE_UNITS |= {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_HIGHEST_PORT, _LONGEST_SOCKET = 65535, 107  # bytes: see unix(7)
_DIGITS = frozenset("0123456789")
_IPV6 = frozenset("0123456789abcdefABCDEF:.")
_NO_HOST = frozenset("[]:/")
_MOST_DIGITS = 18
_MOST_SECONDS, _MOST_DECIMALS, _NANOSECONDS = 13, 9, 9  # digits before and after the point of a duration; those kept

HIDDEN = "***"
"""The text that stands for what is not shown."""


@dataclass(frozen=True)
class SettingType(Generic[T]):
    """The conversion of a variable's text to a value, and back.

    secret     nothing of the value is ever shown
    sensitive  a part of the value is not shown, so a wrong value is not repeated in its error message: it may have the
               secret in any place. The messages of `parse` give a position instead
    parts      returns the secret texts in a secret's value, such as the values of header fields
    from_file  makes the value of a text that a file gave, from the parsed value and the file's name. It is for values
               whose file is read again later
    roots      returns the roots of a value that names a path: what the process does there (`chassis.isolation.roots`).
               Landlock denies everything else, so a type of a path always has it
    choices    all texts that are accepted, if they are few words; else none
    """

    name: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str
    secret: bool = False
    sensitive: bool = False
    parts: Callable[[str], Iterable[str]] = str.splitlines
    from_file: Callable[[T, str], T] | None = None
    roots: Callable[[T], Iterable[DeclaredRoot]] | None = None
    choices: tuple[str, ...] = ()


# -- plain values -------------------------------------------------------------------------------------------------


def _parse_boolean(raw: str) -> bool:
    if raw not in ("true", "false"):
        raise ValueError("expected true or false")
    return raw == "true"


boolean = SettingType("boolean", _parse_boolean, lambda value: "true" if value else "false", choices=("true", "false"))
text = SettingType("text", str)


def _parse_path(raw: str) -> Path:
    from pathlib import Path  # noqa: PLC0415 - a job that does not use it does not load it

    return Path(raw)


path_to_read = SettingType("path", _parse_path, roots=roots.to_read)
directory_to_write = SettingType("path", _parse_path, roots=roots.to_write)


def integer(minimum: int = 0, maximum: int | None = None) -> SettingType[int]:
    expected = f"expected a whole number of at least {minimum}" + (
        f", at most {maximum}" if maximum is not None else ""
    )

    def parse(raw: str) -> int:
        if not _is_number(raw.removeprefix("-")):
            raise ValueError(expected)
        number = int(raw)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(expected)
        return number

    return SettingType("number", parse)


def _is_number(raw: str, most_digits: int = _MOST_DIGITS) -> bool:
    return 0 < len(raw) <= most_digits and _DIGITS.issuperset(raw)


def choice(*words: str) -> SettingType[str]:
    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return raw

    return SettingType(" · ".join(words), parse, choices=words)


# -- quantities ---------------------------------------------------------------------------------------------------


def _bounded(convert: Callable[[str], N], noun: str, minimum: str, maximum: str | None) -> Callable[[str], N]:
    """Return a parser that converts a text and checks the bounds, which are written as a user would write them."""

    def parse(raw: str) -> N:
        value = convert(raw)
        if value < convert(minimum) or (maximum is not None and value > convert(maximum)):
            bounds = f"at least {minimum}" + (f", at most {maximum}" if maximum else "")
            raise ValueError(f"expected a {noun} of {bounds}")
        return value

    return parse


def duration(minimum: str = "0", maximum: str | None = None) -> SettingType[float]:
    """Return the type of a time in seconds. A unit is required: a bare `5` means seconds in one tool, ms in another."""
    return SettingType("duration", _bounded(_seconds, "duration", minimum, maximum), format_duration)


def _seconds(raw: str) -> float:
    if raw == "0":
        return 0.0
    number = raw.rstrip("hms")
    unit = _DURATION_UNITS.get(raw[len(number) :])
    whole, point, decimals = number.partition(".")
    if unit is None or not _is_number(whole, _MOST_SECONDS) or (point and not _is_number(decimals, _MOST_DECIMALS)):
        raise ValueError("expected a duration with its unit, such as 250ms, 5s, 2m or 1h")
    return round(float(number) * unit, _NANOSECONDS)


def format_duration(seconds: float) -> str:
    if seconds == 0:
        return "0"
    for unit in ("h", "m", "s"):
        if seconds >= _DURATION_UNITS[unit] and seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:.0f}{unit}"
    if seconds >= 1:
        return f"{seconds!r}s"
    return f"{seconds * 1000:.9f}".rstrip("0").rstrip(".") + "ms"


def size(minimum: str = "0", maximum: str | None = None) -> SettingType[int]:
    """Return the type of a number of bytes."""
    return SettingType("size", _bounded(_bytes, "size", minimum, maximum), format_size)


def _bytes(raw: str) -> int:
    number = raw.rstrip("kKMGTiB")
    unit = raw[len(number) :] or "B"
    if not _is_number(number) or unit not in _SIZE_UNITS:
        raise ValueError("expected a size in bytes, or with a unit, such as 64KiB or 10MB")
    return int(number) * _SIZE_UNITS[unit]


def format_size(count: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count and count % _SIZE_UNITS[unit] == 0:
            return f"{count // _SIZE_UNITS[unit]}{unit}"
    return str(count)


# -- places -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Address:
    """An address to listen on. `host` "" is all interfaces; for port 0 the system chooses; `path` is a unix socket."""

    host: str = ""
    port: int | None = None
    path: str = ""

    def __bool__(self) -> bool:
        """Return False for `off`."""
        return self.port is not None or bool(self.path)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        if self.port is None:
            return "off"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_address(raw: str) -> Address:
    if raw == "off":
        return Address()
    if raw.startswith("unix:/"):
        if raw.endswith("/") or len(raw.encode("utf-8", "surrogateescape")) > len("unix:") + _LONGEST_SOCKET:
            raise ValueError("expected unix:/path of a socket, with at most 107 bytes")
        return Address(path=raw.removeprefix("unix:"))
    host, colon, port = raw.rpartition(":")
    is_ipv6 = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_ipv6 else host
    is_host = _is_ipv6(host) if is_ipv6 else _is_name_or_ipv4(host)
    if not (colon and is_host and _is_number(port, len(str(_HIGHEST_PORT))) and int(port) <= _HIGHEST_PORT):
        raise ValueError("expected host:port, :port (all interfaces), unix:/path or off, with a port of at most 65535")
    return Address(host, int(port))


def _is_name_or_ipv4(text: str) -> bool:
    if text and (_DIGITS | {"."}).issuperset(text):
        return text.count(".") in range(1, 4) and all(one and int(one) in range(256) for one in text.split("."))
    return _NO_HOST.isdisjoint(text) and not any(map(str.isspace, text))


def _is_ipv6(text: str) -> bool:
    literal, percent, zone = text.partition("%")
    in_zone = all(char.isascii() and (char.isalnum() or char in "_.-") for char in zone)
    return ":" in literal and _IPV6.issuperset(literal) and in_zone and bool(zone) == bool(percent)


def _address_roots(value: Address) -> Iterable[DeclaredRoot]:
    return roots.to_listen(value.path) if value.path else ()


address = SettingType("address", _parse_address, roots=_address_roots)


# -- several values ----------------------------------------------------------------------------------------------


def comma_separated(setting_type: SettingType[T]) -> SettingType[tuple[T, ...]]:
    """Return the type of one or more values between commas. Blanks around a value are ignored; no value is empty."""

    def parse(raw: str) -> tuple[T, ...]:
        items = [item.strip() for item in raw.split(",")]
        if not all(items):
            raise ValueError("expected values separated by single commas")
        return tuple(setting_type.parse(item) for item in items)

    def show(values: Iterable[T]) -> str:
        return ",".join(setting_type.show(value) for value in values)

    def all_roots(values: Iterable[T]) -> Iterable[DeclaredRoot]:
        return [root for value in values for root in setting_type.roots(value)] if setting_type.roots else ()

    name = f"{setting_type.name}, …"
    return SettingType(name, parse, show, setting_type.secret, setting_type.sensitive, roots=all_roots)


def pairs(left: SettingType[Any] = text, right: SettingType[Any] = text) -> SettingType[dict[Any, Any]]:
    """Return the type of `key=value` pairs between commas. Each key stands once."""
    sensitive = left.sensitive or right.sensitive

    def parse(raw: str) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for number, item in enumerate(comma_separated(text).parse(raw), 1):
            key, equals, value = item.partition("=")
            where = f"pair {number}: " if sensitive else ""
            if not equals or not key.strip() or not value.strip():
                raise ValueError(f"{where}expected {left.name}={right.name} between commas".replace("text=", "name="))
            parsed = _at(where, left, key.strip())
            if parsed in found:
                raise ValueError(
                    f"{where}expected each name once, but {'its name' if sensitive else key.strip()} stands twice"
                )
            found[parsed] = _at(where, right, value.strip())
        return found

    return SettingType(
        f"{left.name}={right.name}, …",
        parse,
        lambda value: ",".join(f"{left.show(key)}={right.show(item)}" for key, item in value.items()),
        sensitive=sensitive,
    )


def _at(where: str, setting_type: SettingType[Any], raw: str) -> Any:
    """Return the parsed value. Raises ValueError whose message begins with its position."""
    try:
        return setting_type.parse(raw)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None


def _parse_named_ports(raw: str) -> dict[str, int]:
    return {} if raw == "off" else pairs(text, integer(1, _HIGHEST_PORT)).parse(raw)


named_ports = SettingType("name=port, … or off", _parse_named_ports, lambda value: pairs().show(value) or "off")
"""Ports by name; `off` is none."""


# -- secrets ------------------------------------------------------------------------------------------------------


class Secret:
    """A value that is never shown. If a file gave it, the file is read again at every use, for rotated secrets.

    As text, in each form that Python has, it is `shown`: `***`, or a part that is no secret, such as a field's name.
    The `parts` of each new value are looked for in all outputs (`runtime.scrubber`).
    """

    __slots__ = ("_known", "_parts", "_read", "_shown")

    def __init__(
        self, read: Callable[[], str], shown: str = HIDDEN, parts: Callable[[str], Iterable[str]] = str.splitlines
    ) -> None:
        self._read = read
        self._shown = shown
        self._parts = parts
        self._known = ""

    def note(self, value: str) -> None:
        """Hide this value in all outputs. `reveal` does this, too, when it has read a new value."""
        from sidecars.chassis.runtime import scrubber  # noqa: PLC0415 - only a process with a secret loads it

        self._known = value
        scrubber.hide(self, self._parts(value))

    def reveal(self) -> str:
        """Return the current value. Raises OSError or UnicodeDecodeError if its file cannot be read."""
        value = self._read()
        if value != self._known:
            self.note(value)
        return value

    def __repr__(self) -> str:
        return self._shown

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)


def fixed_secret(raw: str, shown: str = HIDDEN, parts: Callable[[str], Iterable[str]] = str.splitlines) -> Secret:
    """Return a secret that does not change."""
    made = Secret(lambda: raw, shown, parts)
    made.note(raw)
    return made


secret = SettingType("secret", fixed_secret, repr, secret=True)
