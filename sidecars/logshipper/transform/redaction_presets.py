"""What REDACT knows by name: how it looks, and how what looks like it is told from what is.

All patterns are for RE2, whose time is linear in the text. Where a pattern has groups, only those are meant: of
`password=hunter2` the value. Rather too much is hidden than too little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv6Address

Spans = Iterable[tuple[int, int]]
"""Of a match: the parts that are really meant."""

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
IN_DOCUMENTS: dict[str, tuple[str, ...]] = {"password": (rf"(?i){_NAMES_OF_SECRETS}\"[ \t]*:[ \t]*[\[{{]",)}
"""What tells besides that a JSON object has something of a preset: there a name can be that of more than a text."""

SETS: dict[str, tuple[str, ...]] = {
    "secrets": ("bearer", "jwt", "apikey", "password", "url"),
    "personal": ("email", "card", "ipv4", "ipv6"),
}


# -- checks --------------------------------------------------------------------------------------------------------


def whole(match: bytes) -> Spans:
    return [(0, len(match))]


def _cards(match: bytes) -> Iterator[tuple[int, int]]:
    """Card numbers in a run of groups of digits: they begin and end with groups, and pass Luhn's check."""
    groups = [found.span() for found in re.finditer(rb"[0-9]+", match)]
    at = 0
    while at < len(groups):
        after = _card_end(match, groups, at)
        if after:
            yield groups[at][0], groups[after - 1][1]
        at = after or at + 1


def _card_end(match: bytes, groups: Sequence[tuple[int, int]], first: int) -> int:
    """Behind which group a card number ends that begins with this one; 0: none does."""
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
"""Length -> how the numbers of the card networks begin: clocks in milliseconds and nanoseconds are none of them."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B. Zeros alone pass, and are no card."""
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


def _but(words: tuple[bytes, ...]) -> Callable[[bytes], Spans]:
    return lambda match: () if match.lower() in words else whole(match)


CHECKS: dict[str, Callable[[bytes], Spans]] = {
    "card": _cards,
    "ipv6": _ipv6,
    "bearer": _but(_SCHEMES),
    "password": _but(_NO_SECRETS),
}
