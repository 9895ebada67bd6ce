"""Tokens of the rule language, each with its place in the text. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal

from sidecars.chassis.config.source_position import position_of
from sidecars.chassis.runtime.printable import truncate

TokenKind = Literal["number", "duration", "name", "string", "operator", "end"]

_MAX_REASON = 300  # characters of a reason, which may repeat a token of the text

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION_PART = re.compile(r"([0-9]+)([a-z]+)")
_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
    |(?P<end>[\n;])
    |(?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+)(?![\w.])
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.]))
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|`[^`\n]*`)
    |(?P<operator>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],@])
    """,
    re.VERBOSE,
)
_LAST_CHARACTER = 0x10FFFF  # of Unicode
_SURROGATES = range(0xD800, 0xE000)
_LAST_OCTAL = 0o377
_MAX_HEX_LENGTH = 256 + 2  # 16 to that power is the first number beyond floating point
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


class BadRule(ValueError):
    """The text is not a rule. `line` and `column` count from 1; `reason` is a phrase.

    `str()` has three lines: the sentence, the line of the text (the part around the mistake if it is long), and a caret
    under the column.
    """

    def __init__(self, text: str, offset: int, reason: str) -> None:
        position = position_of(text, offset)
        self.line, self.column = position.line, position.column
        self.reason = truncate(reason, _MAX_REASON)
        super().__init__(position.message(self.reason))


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the offsets where it begins and ends. "end" is `;`, a line feed, or the end of the text."""

    kind: TokenKind
    text: str
    start: int
    end: int


def tokenize(text: str, start: int) -> Iterator[Token]:
    """Yield the tokens from an offset to the end of the rule. Raises BadRule."""
    position = start
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise BadRule(text, position, _explain_unknown(text, position))
        position = match.end()
        kind = match.lastgroup
        if kind != "blank":
            yield Token(kind, match[0], match.start(), position)  # type: ignore[arg-type] # the groups are the kinds
            if kind == "end":
                return
    yield Token("end", "", len(text), len(text))


def _explain_unknown(text: str, position: int) -> str:
    character = text[position]
    if character in "\"'`":
        return "this string is not closed"
    if character.isdigit() or character == ".":
        return "this is neither a number nor a duration such as 90s or 1h30m"
    if character in "!~&|":
        return f"{character} is no operator: labels have = != =~ !~, values have == != < > <= >= and or unless"
    return f"{character} has no meaning here"


def parse_duration(duration: str) -> float:
    """Return `1h30m` in seconds; infinity if it is too large for floating point."""
    return sum(float(count) * _UNITS[unit] for count, unit in _DURATION_PART.findall(duration))


def parse_number(raw: str) -> float:
    """Return the value of a number; infinity if it is too large for floating point."""
    if raw[:2] not in ("0x", "0X"):
        return float(raw)
    return float(int(raw, 16)) if len(raw) <= _MAX_HEX_LENGTH else inf


def unquote(token: Token, text: str) -> str:
    """Return the content of a string. Its escapes are those of Go. Raises BadRule."""
    body = token.text[1:-1]
    if token.text.startswith("`"):
        return _check_utf8(body, token, text)

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
    return _check_utf8(content, token, text)


def _check_utf8(content: str, token: Token, text: str) -> str:
    """Raise BadRule if there is a half surrogate: a byte of the environment that is not UTF-8 arrives as one."""
    if not content.isascii() and any(ord(one) in _SURROGATES for one in content):
        raise BadRule(text, token.start, "this string is not UTF-8 text")
    return content
