"""What a page says about a metric family before its samples: HELP, TYPE and, in OpenMetrics, UNIT. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecars.adapter.exposition.labels import unescaped
from sidecars.adapter.exposition.lexer import METRIC_NAME, excerpt
from sidecars.adapter.exposition.page_faults import Faults, MalformedPage

_TEXT: Mapping[str, tuple[bytes, ...]] = {
    "untyped": (b"",),
    "counter": (b"",),
    "gauge": (b"",),
    "summary": (b"", b"_sum", b"_count"),
    "histogram": (b"_bucket", b"_sum", b"_count"),
}
_OPENMETRICS: Mapping[str, tuple[bytes, ...]] = {
    "unknown": (b"",),
    "counter": (b"_total", b"_created"),
    "gauge": (b"",),
    "stateset": (b"",),
    "info": (b"_info",),
    "summary": (b"", b"_count", b"_sum", b"_created"),
    "histogram": (b"_bucket", b"_count", b"_sum", b"_created"),
    "gaugehistogram": (b"_bucket", b"_gcount", b"_gsum"),
}
SUFFIXES = {False: _TEXT, True: _OPENMETRICS}
"""By format and type: what is appended to the family's name in the names of its samples."""

_UNKNOWN = {False: "untyped", True: "unknown"}
_NONE = (b"",)
_TYPES = {
    openmetrics: {word.encode(): (word, suffixes) for word, suffixes in types.items()}
    for openmetrics, types in SUFFIXES.items()
}

_STRING = rb'"(?:[^"\\]|\\[n"\\])*+"'
_BLANK = rb"[ \t]"
# Of a line that `lines` has not understood: its name is quoted, or wrong, or it is a comment for people.
_TEXT_LINE = re.compile(rb"#[ \t]*+(HELP|TYPE)(?=[ \t]|\Z)[ \t]*+(%b|[^ \t]*+)(?:[ \t]++(.*))?+" % _STRING, re.DOTALL)
_OPENMETRICS_LINE = re.compile(rb"# (HELP|TYPE|UNIT) (%b|[^ ]++) (.*)" % _STRING, re.DOTALL)
_HELP = {
    False: re.compile(rb"[^\\]*+(?:\\[n\\][^\\]*+)*+"),
    True: re.compile(rb'[^\\"]*+(?:\\[^\n][^\\"]*+)*+'),
}
_UNIT = re.compile(rb"[a-zA-Z0-9_:]*+")


class Metadata:
    """A family's metadata so far. `type` is the format's word for an unknown type where no TYPE is given.

    `suffixes` is what its type appends to the name, and `samples` what its samples may be called.
    """

    __slots__ = ("_given", "help", "name", "openmetrics", "samples", "suffixes", "type", "unit")

    def __init__(self, name: bytes, *, openmetrics: bool) -> None:
        self.name = name
        self.openmetrics = openmetrics
        self.type = _UNKNOWN[openmetrics]
        self.suffixes: tuple[bytes, ...] = _NONE
        self.samples: tuple[bytes, ...] = (name,)
        self.help = b""
        self.unit = b""
        self._given: tuple[bytes, ...] = ()

    def add(self, word: bytes, value: bytes, line: int, faults: Faults) -> None:
        """Take one line of it: the word is HELP, TYPE or UNIT. Of several the first one counts."""
        if not self.openmetrics:
            value = value.rstrip(b" \t")
        if word in self._given:
            faults.note("metadata", line, f"there is a second {word.decode()} of {excerpt(self.name)}")
            if word == b"TYPE" and value.decode() != self.type:
                self.forget_type(
                    line, faults, f"the type {excerpt(value)} contradicts the first TYPE of {excerpt(self.name)}"
                )
            return
        self._given += (word,)
        if word == b"TYPE":
            self._add_type(value, line, faults)
        elif word == b"HELP":
            odd = b"\\" in value or (self.openmetrics and b'"' in value)
            if odd and not _HELP[self.openmetrics].fullmatch(value):
                what = "a backslash or a quote" if self.openmetrics else "a backslash"
                faults.note("escape", line, f"HELP of {excerpt(self.name)} has {what} that is not escaped")
            self.help = value
        elif not value or (_UNIT.fullmatch(value) and self.name.endswith(b"_" + value)):
            self.unit = value
        else:
            faults.note("metadata", line, f"the unit {excerpt(value)} must be the end of the name {excerpt(self.name)}")

    def _add_type(self, value: bytes, line: int, faults: Faults) -> None:
        types = _TYPES[self.openmetrics]
        if value not in types:
            known = ", ".join(SUFFIXES[self.openmetrics])
            why = (
                f"the type {excerpt(value)} is none of {known}"
                if value
                else f"the type is missing: it is one of {known}"
            )
            self.forget_type(line, faults, why)
            return
        self._become(*types[value])

    def become(self, kind: str) -> None:
        """Be of this type, a word of the format."""
        self._become(*_TYPES[self.openmetrics][kind.encode()])

    def _become(self, kind: str, suffixes: tuple[bytes, ...]) -> None:
        self.type = kind
        if suffixes != self.suffixes:
            self.suffixes = suffixes
            self.samples = tuple([self.name + suffix for suffix in suffixes])

    def forget_type(self, line: int, faults: Faults, why: str) -> None:
        """Be of unknown type, and say why."""
        faults.note("type", line, why)
        self.become(_UNKNOWN[self.openmetrics])

    def finish(self, line: int, faults: Faults) -> None:
        """The family has ended."""
        if self.unit and self.type in ("info", "stateset"):
            faults.note("metadata", line, f"{excerpt(self.name)} cannot have a unit, being of the type {self.type}")
            self.unit = b""


def metadata_of(comment: bytes, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """What an unusual comment says: its word (HELP, TYPE, UNIT), the family's name, and the rest. None for nothing."""
    match = (_OPENMETRICS_LINE if openmetrics else _TEXT_LINE).fullmatch(comment)
    if not match:
        if openmetrics:
            raise MalformedPage(
                line, "after # OpenMetrics has HELP, TYPE, UNIT or EOF, a name and a text, one space between"
            )
        return None
    word, name, rest = match[1], match[2], match[3] or b""
    if not name:
        return None
    if name.startswith(b'"') and name.endswith(b'"') and len(name) > 2:  # noqa: PLR2004 - the quotes
        return word, unescaped(name[1:-1]).encode(), rest
    if not METRIC_NAME.fullmatch(name):
        raise MalformedPage(
            line, f"expected a metric's name after {word.decode()}, but there is {excerpt(name) or 'none'}"
        )
    return word, name, rest
