"""Words of the rule language, each with its place in the text. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.mistakes import place_of

Kind = Literal["number", "duration", "name", "string", "operator", "end"]

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
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


class BadRule(ValueError):
    """The text is no rule. `line` and `column` count from 1; `why` is a phrase.

    `str()` has three lines: the sentence, the line of the text (where it is long, what is around), and a caret under
    the column.
    """

    def __init__(self, text: str, offset: int, why: str) -> None:
        place = place_of(text, offset)
        self.line, self.column, self.why = place.line, place.column, why
        super().__init__(place.message(why))


@dataclass(frozen=True, slots=True)
class Token:
    """A word: its text, and the offsets where it begins and ends. "end" is `;`, a line feed, or the end of the text."""

    kind: Kind
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
    """`1h30m` in seconds."""
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(duration))


def unquoted(token: Token, text: str) -> str:
    """A string's content; escapes are Go's. Raises `BadRule`."""
    body = token.text[1:-1]
    if token.text.startswith("`"):
        return body

    def replace(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code:
            return chr(int(code, 16))
        if match[4]:
            return chr(int(match[4], 8))
        if match[5] not in _ESCAPES:
            raise BadRule(
                text, token.start + 1 + match.start(), f"\\{match[5]} is no escape: a backslash is written \\\\"
            )
        return _ESCAPES[match[5]]

    return _ESCAPE.sub(replace, body)
