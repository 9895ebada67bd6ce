"""Words of the rule language, each with its place in the text. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal

from sidecars.chassis.config.source_position import position_of
from sidecars.chassis.runtime.printable import truncate

TokenKind = Literal["number", "duration", "name", "string", "operator", "end"]

_LONGEST_WHY = 300  # characters of a message, which may repeat a word of the text

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+")
_PART = re.compile(r"([0-9]+)([a-z]+)")
_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
    |(?P<end>[\n;])
    |(?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+)(?![\w.])
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.]))
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`\n]*`)
    |(?P<operator>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],@])
    """,
    re.VERBOSE,
)
_LAST_CHARACTER = 0x10FFFF  # of Unicode
_SURROGATES = range(0xD800, 0xE000)
_LAST_OCTAL = 0o377
_MOST_HEX_DIGITS = 256 + 2  # 16 to that power is the first number beyond floating point
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


class BadRule(ValueError):
    """The text is no rule. `line` and `column` count from 1; `why` is a phrase.

    `str()` has three lines: the sentence, the line of the text (where it is long, what is around), and a caret under
    the column.
    """

    def __init__(self, text: str, offset: int, why: str) -> None:
        place = position_of(text, offset)
        self.line, self.column = place.line, place.column
        self.why = truncate(why, _LONGEST_WHY)
        super().__init__(place.message(self.why))


@dataclass(frozen=True, slots=True)
class Token:
    """A word: its text, and the offsets where it begins and ends. "end" is `;`, a line feed, or the end of the text."""

    kind: TokenKind
    text: str
    start: int
    end: int


def tokens(text: str, start: int) -> Iterator[Token]:
    """The words from an offset to the end of the rule. Raises `BadRule`."""
    position = start
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise BadRule(text, position, _unknown(text, position))
        position = match.end()
        kind = match.lastgroup
        if kind != "blank":
            yield Token(kind, match[0], match.start(), position)  # type: ignore[arg-type] # the groups are the kinds
            if kind == "end":
                return
    yield Token("end", "", len(text), len(text))


def _unknown(text: str, position: int) -> str:
    character = text[position]
    if character in "\"'`":
        return "this string is not closed"
    if character.isdigit() or character == ".":
        return "this is neither a number nor a duration such as 90s or 1h30m"
    if character in "!~&|":
        return f"{character} is no operator: labels have = != =~ !~, values have == != < > <= >= and or unless"
    return f"{character} has no meaning here"


def seconds(duration: str) -> float:
    """Return `1h30m` in seconds: infinite where that is too large for floating point."""
    return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(duration))


def number(raw: str) -> float:
    """Return the value of a number: infinite where it is too large for floating point."""
    if raw[:2] not in ("0x", "0X"):
        return float(raw)
    return float(int(raw, 16)) if len(raw) <= _MOST_HEX_DIGITS else inf


def unquoted(token: Token, text: str) -> str:
    """Return a string's content; escapes are Go's. Raises `BadRule`."""
    body = token.text[1:-1]
    if token.text.startswith("`"):
        return _sendable(body, token, text)

    def replace(match: re.Match[str]) -> str:
        here = token.start + 1 + match.start()
        digits = match[1] or match[2] or match[3]
        if digits or match[4]:
            code = int(digits, 16) if digits else int(match[4], 8)
            if code > _LAST_CHARACTER or code in _SURROGATES or (match[4] and code > _LAST_OCTAL):
                raise BadRule(text, here, f"{match[0]} is no character")
            return chr(code)
        if match[5] not in _ESCAPES:
            raise BadRule(text, here, f"\\{match[5]} is no escape: a backslash is written \\\\")
        return _ESCAPES[match[5]]

    content = _ESCAPE.sub(replace, body)
    return _sendable(content, token, text)


def _sendable(content: str, token: Token, text: str) -> str:
    """Refuse half a character: that is how a byte of the environment arrives which is not UTF-8."""
    if not content.isascii() and any(ord(one) in _SURROGATES for one in content):
        raise BadRule(text, token.start, "this string is not UTF-8 text")
    return content
