"""The presets of REDACT: for each name its patterns, and a check that drops matches of a harmless kind.

All patterns are for RE2, whose time is linear in the text. If a pattern has groups, only they are replaced: in
`password=hunter2` the value. In doubt, a text is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv6Address

Spans = Iterable[tuple[int, int]]
"""Begin and end of the parts of a match that are to be replaced."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_HEX = "[0-9A-Fa-f]"
_NAMES_OF_SECRETS = (
    r"(?:passw(?:or)?d|passwort|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
    r"|session[_-]?id)(?:s|(?-i:[A-Z_.-])[A-Za-z0-9_.-]{0,31})?"
)

PRESETS: dict[str, tuple[str, ...]] = {
    "email": (r"[^\s@<>()\[\]\",;:=/\\'{}|&?]+@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+[\pL\pN-]*[\pL\pN]",),
    "card": (r"\b[0-9](?:[ -]?[0-9]){12,}\b",),
    "ipv4": (rf"\b(?:{_OCTET}\.){{3}}{_OCTET}\b",),
    "ipv6": (
        (
            rf"(?:^|[^0-9A-Za-z_:.])((?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}\b|(?:{_HEX}{{1,4}}:){{6}}[0-9.]{{7,15}}\b"
            rf"|[0-9A-Fa-f:]*::(?:[0-9A-Fa-f:.]*{_HEX}\b)?)"
        ),
    ),
    "bearer": (
        r"(?i)\bbearer[ \t]+([A-Za-z0-9._~+/-]{8,}=*)",
        r"(?i)\bbasic[ \t]+([A-Za-z0-9+/]{12,}={0,2})",
        r"(?i)\bauthorization\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?(?:[A-Za-z]+[ \t]+)?([^\s\"'\\,;]+)",
    ),
    "jwt": (r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,3}",),
    "apikey": (
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[opsur]_[A-Za-z0-9]{20,}",
        r"\bgithub_pat_[A-Za-z0-9_]{20,}",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\bAIza[0-9A-Za-z_-]{35}",
        r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{10,}",
        r"\bsk-[A-Za-z0-9_-]{20,}",
        r"\bnpm_[A-Za-z0-9]{36}",
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*",
    ),
    "password": (
        (
            rf"(?i){_NAMES_OF_SECRETS}\\*[\"']?[ \t]*[:=][ \t]*"
            r"(?:\\+[\"']([^\"'\\\n]+)"  # within a string that has escaped quotes
            r"|\"((?:[^\"\\\n]|\\.)+)|'([^'\n]+)|([^\s\"'\\,;&\[{][^\s\"',;&]*))"
        ),
    ),
    "url": (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:\"']*:([^\s/@\"']+)@",),
}
JSON_PATTERNS: dict[str, tuple[str, ...]] = {"password": (rf"(?i){_NAMES_OF_SECRETS}\"[ \t]*:[ \t]*[\[{{]",)}
"""Further patterns by which the text of a JSON object may need redaction: a secret's name with an array or object."""

SETS: dict[str, tuple[str, ...]] = {
    "secrets": ("bearer", "jwt", "apikey", "password", "url"),
    "personal": ("email", "card", "ipv4", "ipv6"),
}


# -- checks --------------------------------------------------------------------------------------------------------


def whole(match: bytes) -> Spans:
    """Return all of the match."""
    return [(0, len(match))]


def _cards(match: bytes) -> Iterator[tuple[int, int]]:
    """Yield the card numbers in a run of groups of digits: whole groups that pass Luhn's check."""
    groups = [found.span() for found in re.finditer(rb"[0-9]+", match)]
    at = 0
    while at < len(groups):
        after = _card_end(match, groups, at)
        if after:
            yield groups[at][0], groups[after - 1][1]
        at = after or at + 1


def _card_end(match: bytes, groups: Sequence[tuple[int, int]], first: int) -> int:
    """Return the index behind the last group of the card number that begins with the group `first`; 0 if none does."""
    digits, best = b"", 0
    if match[groups[first][0]] not in b"23456":
        return 0
    for index in range(first, min(first + _LONGEST, len(groups))):
        digits += match[slice(*groups[index])]
        if len(digits) > _LONGEST:
            break
        if digits.startswith(_ISSUED.get(len(digits), ())) and passes_luhn(digits):
            best = index + 1
    return best


_LONGEST = 19
_ISSUED: dict[int, tuple[bytes, ...]] = {
    13: (b"4",),
    14: (b"30", b"36", b"38", b"39"),
    15: (b"34", b"37"),
    16: (b"2", b"3", b"4", b"5", b"6"),
    17: (b"50", b"56", b"57", b"58", b"6"),
    18: (b"50", b"56", b"57", b"58", b"6"),
    19: (b"4", b"50", b"56", b"57", b"58", b"6"),
}
"""Beginnings of the card networks' numbers, by length. No clock in milliseconds or nanoseconds begins so."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: bytes) -> bool:
    """True if the digits pass the check of ISO/IEC 7812-1, annex B. Zeros alone pass it, but are no card number."""
    numbers = [digit - 48 for digit in reversed(digits)]
    total = sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])
    return total % 10 == 0 and any(numbers)


def _ipv6(match: bytes) -> Spans:
    try:
        address = IPv6Address(match.decode())
    except AddressValueError:
        return []
    return [(0, len(match))] if int(address) else []


_SCHEMES = (b"basic", b"bearer", b"digest", b"negotiate")
_NO_SECRETS = (b"null", b"none", b"nil", b"undefined", b"true", b"false", b"***")


def _except(words: tuple[bytes, ...]) -> Callable[[bytes], Spans]:
    """Return a check that drops matches that are one of these words."""
    return lambda match: () if match.lower() in words else whole(match)


CHECKS: dict[str, Callable[[bytes], Spans]] = {
    "card": _cards,
    "ipv6": _ipv6,
    "bearer": _except(_SCHEMES),
    "password": _except(_NO_SECRETS),
}
