"""Parse label sets, the text between the braces of a sample line: `method="GET",path="/a"`. Bytes in, no I/O.

Most pages repeat a few *shapes* thousands of times: the same label names in the same order, with other values. So a
label set is split at its quotes only. The text outside of the quotes determines the shape, which is parsed once:

    method="GET",path="/a"   ->   outside: method=  ,path=        inside: GET  /a

The grammar of lines (`lexer`) has already checked that quotes come in pairs and that only legal escapes are inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

Labels = tuple[tuple[str, str], ...]
"""A label set: pairs of name and value, sorted by name, without the metric's name and without empty values (an empty
value means the same as no label)."""

Outside = tuple[bytes, ...]
"""The parts of a raw label set that stand outside of its quotes."""

_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_NAME = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
# A shape is matched with one quote in place of each string: the name of a pair (which may be a string), `=`, its value.
_PAIRS = {
    False: re.compile(rb'(?:[ \t]*+(?:%b|")[ \t]*+=[ \t]*+"[ \t]*+(?:,|\Z))*+[ \t]*+' % _NAME),
    True: re.compile(rb'(?:(?:(?:%b|")="(?:,(?!\Z)|\Z))*+)' % _NAME),
}
_PAIR = re.compile(rb'(%b|")[ \t]*+=' % _NAME)
_QUOTED_NAME = re.compile(rb'[ \t]*+"((?:[^"\\]|\\.)*+)"[ \t]*+(?:,[ \t]*+|\Z)', re.DOTALL)
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class MalformedLabels(ValueError):
    """The text between the braces is not a label set. The message is a phrase."""


def escape(text: str) -> str:
    r"""Escape a label's value, or a name in quotes, as both formats do: `\\`, `\"`, `\n`."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def unescape(raw: bytes) -> str:
    r"""Replace the escapes `\n`, `\"`, `\\`. Any other backslash stands for itself, as in OpenMetrics."""
    text = raw.decode()
    if "\\" not in text:
        return text
    return _UNESCAPE.sub(lambda match: _UNESCAPED.get(match[1], match[0]), text)


def split_at_quotes(raw: bytes) -> list[bytes]:
    """Split a raw label set at its quotes: outside, inside, outside, inside, …"""
    return raw.split(b'"') if b"\\" not in raw else _STRING.split(raw)


class LabelShape:
    """The label names of a raw label set, in the order in which they are written. A page's `LabelParser` owns it.

    `plain` is True if it is written without spaces and quoted names: two different raw label sets of this shape then
    always mean different label sets. `sorted` are the indexes of the names, in the names' order.
    """

    __slots__ = ("names", "plain", "sorted")

    def __init__(self, names: Sequence[bytes], *, plain: bool) -> None:
        """Raises MalformedLabels if a name occurs twice, or is `__name__`."""
        self.names = tuple(names)
        self.plain = plain
        self.sorted = tuple(sorted(range(len(self.names)), key=self.names.__getitem__))
        for one, next_one in pairwise(self.sorted):
            if self.names[one] == self.names[next_one]:
                raise MalformedLabels(f"the label {self.names[one].decode()} stands there twice")
        if b"__name__" in self.names:
            raise MalformedLabels("the label __name__ is the metric's name itself")

    def index(self, name: bytes) -> int:
        """Return the position of the label; -1 without such a label."""
        return self.names.index(name) if name in self.names else -1


class LabelParser:
    """Parses the raw label sets of one page. Remembers each shape, so that it is parsed once."""

    def __init__(self, *, openmetrics: bool) -> None:
        self._grammar = _PAIRS[openmetrics]
        self._shapes: dict[Outside, LabelShape | None] = {}
        self._quoted: dict[tuple[bytes, ...], LabelShape] = {}

    @property
    def quoted_names(self) -> bool:
        """True if a label's name was in quotes."""
        return bool(self._quoted)

    def parse(self, raw: bytes) -> tuple[LabelShape, list[bytes]]:
        """Return the shape, and the values in its order, still escaped. Raises MalformedLabels."""
        pieces = split_at_quotes(raw)
        outside = tuple(pieces[::2])
        shape = self.shape(outside)
        if shape:
            return shape, pieces[1::2]
        return self._parse_quoted_names(outside, pieces[1::2])

    def shape(self, outside: Outside) -> LabelShape | None:
        """Return the shape of the text outside of the quotes; None if names are inside of them.

        Raises MalformedLabels.
        """
        try:
            return self._shapes[outside]
        except KeyError:
            shape = self._shapes[outside] = self._parse_shape(outside)
            return shape

    def _parse_shape(self, outside: Outside) -> LabelShape | None:
        text = b'"'.join(outside)
        if not self._grammar.fullmatch(text):
            raise MalformedLabels('expected name="value" pairs with commas between them')
        names = _PAIR.findall(text)
        if b'"' in names:
            return None
        return LabelShape(names, plain=b" " not in text and b"\t" not in text and not text.endswith(b","))

    def _parse_quoted_names(self, outside: Outside, strings: list[bytes]) -> tuple[LabelShape, list[bytes]]:
        text = b'"'.join(outside)
        rest = iter(strings)
        names, values = [], []
        for name in _PAIR.findall(text):
            names.append(unescape(next(rest)).encode() if name == b'"' else name)
            values.append(next(rest))
        if b"" in names:
            raise MalformedLabels("a label's name is empty")
        key = tuple(names)
        if key not in self._quoted:
            self._quoted[key] = LabelShape(names, plain=False)
        return self._quoted[key], values


def label_set(shape: LabelShape, values: Sequence[bytes]) -> Labels:
    """Return the label set of a shape and its raw values."""
    return tuple((shape.names[i].decode(), unescape(values[i])) for i in shape.sorted if values[i])


def split_quoted_name(raw: bytes) -> tuple[bytes, bytes]:
    """Split the metric's name, which stands quoted at the beginning of the braces, from the raw labels after it.

    Raises MalformedLabels if there is no such name.
    """
    match = _QUOTED_NAME.match(raw)
    if not match or not match[1]:
        raise MalformedLabels(
            "there is no metric's name, neither before the braces nor quoted as the first thing in them"
        )
    return unescape(match[1]).encode(), raw[match.end() :]
