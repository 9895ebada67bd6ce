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
    r"|sess(?:ion)?[_-]?id)(?:s|(?-i:[A-Z_.-])[A-Za-z0-9_.-]{0,31})?"
)
# A text may have been escaped on its way to the log, as in JSON (`\n`, `\"`, `\u003d`) or percent-encoded (`%3D`).
_START = r"(?:\b|%[0-9A-Fa-f]{2}|\\[nrt])"  # of a word
_QUOTE = r"(?:\\*[\"']|\\+u002[27]|%2[27])"
_BLANK = r"(?:[ \t]|%20)"
_EQUALS = rf"{_QUOTE}?{_BLANK}*(?:[:=]|%3[ADad]|\\+u003[ADad]){_BLANK}*"  # between a name and its value
_QUOTED = (
    r"\\+[\"']([^\"'\\\n]+)"  # within a string that has escaped quotes
    r"|\\+u002[27]([^\"'\\\s]+)"
    r"|\"((?:[^\"\\\n]|\\.)+)|'([^'\n]+)"
)
_ARGUMENT = r"\\*[\"']?([^\s\"'\\,;-][^\s\"'\\,;]*)"

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
        r"(?i)\bbearer(?:[ \t+]|%20)+([A-Za-z0-9._~+/%-]{8,}=*)",
        r"(?i)\bbasic(?:[ \t+]|%20)+([A-Za-z0-9+/%]{12,}={0,2})",
        rf"(?i){_START}authorization{_EQUALS}{_QUOTE}?(?:[A-Za-z]+(?:[ \t+]|%20)+)?([^\s\"'\\,;]+)",
    ),
    "cookie": (rf"(?i){_START}(?:set-)?cookies?2?{_EQUALS}(?:{_QUOTED}|([^\s\"'\\][^\"'\\\n]*))",),
    "jwt": (rf"{_START}(eyJ[A-Za-z0-9_-]{{6,}}\.[A-Za-z0-9_-]{{6,}}(?:\.[A-Za-z0-9_-]*){{0,3}})",),
    "apikey": (
        (
            rf"{_START}((?:AKIA|ASIA)[0-9A-Z]{{16}}\b|gh[opsur]_[A-Za-z0-9]{{20,}}|github_pat_[A-Za-z0-9_]{{20,}}"
            r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}"
            r"|(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{10,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36})"
        ),
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*",
        r"^[A-Za-z0-9+/]{64}$",  # a line of a PEM body (RFC 7468, section 2), whose beginning is another event
    ),
    "password": (
        rf"(?i){_NAMES_OF_SECRETS}{_EQUALS}(?:{_QUOTED}|([^\s\"'\\,;&\[{{][^\s\"',;&]*))",
        rf"(?i)(?:^|[\s\"'\[,(])--?(?:[a-z0-9]+[_.-])*{_NAMES_OF_SECRETS}(?:\\*[\"'],[ \t]*|[ \t]+){_ARGUMENT}",
        rf"\bsshpass[ \t]+-p[ \t]*{_ARGUMENT}",
        rf"\b(?:mysql|mariadb)[a-z-]*[ \t][^\n|;&]*?-p{_ARGUMENT}",
        rf"\bredis-cli[ \t][^\n|;&]*?-a[ \t]+{_ARGUMENT}",
        rf"\blogin[ \t][^\n|;&]*?-p[ \t]+{_ARGUMENT}",
        r"\bcurl[ \t][^\n|;]*?(?:-u|--user|--proxy-user)[ \t=]*[\"']?[^\s:\"'-][^\s:\"']*:([^\s\"']+)",
    ),
    "url": (
        r"[A-Za-z][A-Za-z0-9+.-]*:\\*/\\*/[^\s/@:\"'\\]*:([^\s/@\"']+)@",
        r"[A-Za-z][A-Za-z0-9+.-]*%3[Aa]%2[Ff]%2[Ff][^\s/@:\"'%]*%3[Aa]([^\s/@:\"'&]+?)%40",
    ),
}
JSON_PATTERNS: dict[str, tuple[str, ...]] = {
    "password": (rf"(?i){_NAMES_OF_SECRETS}\"[ \t]*:[ \t]*[\[{{]", rf"(?i)-{_NAMES_OF_SECRETS}\"[ \t]*,"),
    "cookie": (r"(?i)cookies?2?\"[ \t]*:[ \t]*[\[{]",),
}
"""Further patterns by which the text of a JSON object may need redaction: a secret's name with an array or object, and
an argument of a command line, whose value is the next item of an array."""

SETS: dict[str, tuple[str, ...]] = {
    "secrets": ("bearer", "cookie", "jwt", "apikey", "password", "url"),
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


_SHA256 = re.compile(rb"[0-9a-f]{64}|[0-9A-F]{64}").fullmatch


def _no_digest(match: bytes) -> Spans:
    """Drop a line of 64 hexadecimal digits: it is a SHA-256, and no line of a key."""
    return () if _SHA256(match) else whole(match)


_SCHEMES = (b"basic", b"bearer", b"digest", b"negotiate")
_NO_SECRETS = (b"null", b"none", b"nil", b"undefined", b"true", b"false", b"***")


def _except(words: tuple[bytes, ...]) -> Callable[[bytes], Spans]:
    """Return a check that drops matches that are one of these words, or nothing but blanks and quotes."""
    return lambda match: () if _ENCODED_BLANKS.sub(b"", match).lower() in (b"", *words) else whole(match)


_ENCODED_BLANKS = re.compile(rb"%2[027]|\+")


CHECKS: dict[str, Callable[[bytes], Spans]] = {
    "card": _cards,
    "ipv6": _ipv6,
    "apikey": _no_digest,
    "bearer": _except(_SCHEMES),
    "cookie": _except(_NO_SECRETS),
    "password": _except(_NO_SECRETS),
}
