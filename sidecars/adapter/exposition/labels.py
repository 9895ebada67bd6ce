"""Label sets as they stand between the braces of a sample line: `method="GET",path="/a"`. Bytes in, no I/O.

Most pages repeat a few *shapes* thousands of times: the same label names in the same order, with other values. So a
blob is cut at its quotes only; what stands outside of them is its shape, and that is looked at once:

    method="GET",path="/a"   ->   outside: method=  ,path=        inside: GET  /a

The lines' grammar (`lines`) has made sure already that quotes come in pairs and that only legal escapes are inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

Labels = tuple[tuple[str, str], ...]
"""A label set: pairs of name and value, sorted by name, without the metric's name and without empty values (which say
the same as no label at all)."""

Outside = tuple[bytes, ...]

_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_NAME = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
# A shape is matched with a quote where a string was: the name of a pair, which may be a string itself, `=`, its value.
_PAIRS = {
    False: re.compile(rb'(?:[ \t]*+(?:%b|")[ \t]*+=[ \t]*+"[ \t]*+(?:,|\Z))*+[ \t]*+' % _NAME),
    True: re.compile(rb'(?:(?:(?:%b|")="(?:,(?!\Z)|\Z))*+)' % _NAME),
}
_PAIR = re.compile(rb'(%b|")[ \t]*+=' % _NAME)
_QUOTED_NAME = re.compile(rb'[ \t]*+"((?:[^"\\]|\\.)*+)"[ \t]*+(?:,[ \t]*+|\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class MalformedLabels(ValueError):
    """What stands between the braces is no label set. The text is a phrase."""


def unescaped(raw: bytes) -> str:
    r"""A string without its quotes: `\n`, `\"`, `\\`. OpenMetrics lets any other backslash stand for itself."""
    text = raw.decode()
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), text)


def cut(blob: bytes) -> list[bytes]:
    """Outside, inside, outside, inside, … of the quotes."""
    return blob.split(b'"') if b"\\" not in blob else _STRING.split(blob)


class Shape:
    """The names of label sets that are written alike, in the order in which they are written."""

    __slots__ = ("names", "plain", "sorted")

    def __init__(self, names: Sequence[bytes], *, plain: bool) -> None:
        self.names = tuple(names)
        self.plain = plain
        """Written without a space or a quoted name: two different blobs of this shape then say different things."""
        self.sorted = tuple(sorted(range(len(self.names)), key=self.names.__getitem__))
        for one, next_one in pairwise(self.sorted):
            if self.names[one] == self.names[next_one]:
                raise MalformedLabels(f"the label {self.names[one].decode()} stands there twice")
        if b"__name__" in self.names:
            raise MalformedLabels("the label __name__ is the metric's name itself")

    def index(self, name: bytes) -> int:
        """Where the label stands; -1 where there is none of that name."""
        return self.names.index(name) if name in self.names else -1


class Shapes:
    """The shapes of one page. Raises `BadLabels` at what is none."""

    def __init__(self, *, openmetrics: bool) -> None:
        self._grammar = _PAIRS[openmetrics]
        self._shapes: dict[Outside, Shape | None] = {}
        self._quoted: dict[tuple[bytes, ...], Shape] = {}

    @property
    def quoted(self) -> bool:
        """Whether a label's name was in quotes."""
        return bool(self._quoted)

    def of(self, blob: bytes) -> tuple[Shape, list[bytes]]:
        """The blob's shape, and the values in its order, still escaped."""
        pieces = cut(blob)
        outside = tuple(pieces[::2])
        shape = self.known(outside)
        if shape:
            return shape, pieces[1::2]
        return self._with_quoted_names(outside, pieces[1::2])

    def known(self, outside: Outside) -> Shape | None:
        """The shape of what stands outside of the quotes; None where names are inside of them."""
        try:
            return self._shapes[outside]
        except KeyError:
            shape = self._shapes[outside] = self._learn(outside)
            return shape

    def _learn(self, outside: Outside) -> Shape | None:
        text = b'"'.join(outside)
        if not self._grammar.fullmatch(text):
            raise MalformedLabels('expected name="value" pairs with commas between them')
        names = _PAIR.findall(text)
        if b'"' in names:
            return None
        return Shape(names, plain=b" " not in text and b"\t" not in text and not text.endswith(b","))

    def _with_quoted_names(self, outside: Outside, strings: list[bytes]) -> tuple[Shape, list[bytes]]:
        text = b'"'.join(outside)
        rest = iter(strings)
        names, values = [], []
        for name in _PAIR.findall(text):
            names.append(unescaped(next(rest)).encode() if name == b'"' else name)
            values.append(next(rest))
        if b"" in names:
            raise MalformedLabels("a label's name is empty")
        key = tuple(names)
        if key not in self._quoted:
            self._quoted[key] = Shape(names, plain=False)
        return self._quoted[key], values


def labels_of(shape: Shape, values: Sequence[bytes]) -> Labels:
    """The label set, for people and rules."""
    return tuple((shape.names[i].decode(), unescaped(values[i])) for i in shape.sorted if values[i])


def quoted_name(blob: bytes) -> tuple[bytes, bytes]:
    """The metric's name that stands quoted at the beginning of the braces, and what follows it."""
    match = _QUOTED_NAME.match(blob)
    if not match or not match[1]:
        raise MalformedLabels(
            "there is no metric's name, neither before the braces nor quoted as the first thing in them"
        )
    return unescaped(match[1]).encode(), blob[match.end() :]
