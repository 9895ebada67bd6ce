"""Metadata of a metric family: HELP, TYPE and, in OpenMetrics, UNIT, which stand before its samples. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecars.adapter.exposition.labels import unescape
from sidecars.adapter.exposition.lexer import COMMENT, FAMILY, KEYWORD, METRIC_NAME, TEXT, Row, excerpt
from sidecars.adapter.exposition.page_faults import Faults, MalformedPage

_TEXT_TYPES: Mapping[str, tuple[bytes, ...]] = {
    "untyped": (b"",),
    "counter": (b"",),
    "gauge": (b"",),
    "summary": (b"", b"_sum", b"_count"),
    "histogram": (b"_bucket", b"_sum", b"_count"),
}
_OPENMETRICS_TYPES: Mapping[str, tuple[bytes, ...]] = {
    "unknown": (b"",),
    "counter": (b"_total", b"_created"),
    "gauge": (b"",),
    "stateset": (b"",),
    "info": (b"_info",),
    "summary": (b"", b"_count", b"_sum", b"_created"),
    "histogram": (b"_bucket", b"_count", b"_sum", b"_created"),
    "gaugehistogram": (b"_bucket", b"_gcount", b"_gsum"),
}
SUFFIXES = {False: _TEXT_TYPES, True: _OPENMETRICS_TYPES}
"""By format (True is OpenMetrics) and type: the suffixes that the names of the family's samples may have."""

_UNKNOWN = {False: "untyped", True: "unknown"}
_NO_SUFFIX = (b"",)
_TYPES = {
    openmetrics: {word.encode(): (word, suffixes) for word, suffixes in types.items()}
    for openmetrics, types in SUFFIXES.items()
}

_STRING = rb'"(?:[^"\\]|\\[n"\\])*+"'
# A comment that `lexer` has not parsed: the family's name is quoted or invalid, or the comment is for people.
_TEXT_LINE = re.compile(rb"#[ \t]*+(HELP|TYPE)(?=[ \t]|\Z)[ \t]*+(%b|[^ \t]*+)(?:[ \t]++(.*))?+" % _STRING, re.DOTALL)
_OPENMETRICS_LINE = re.compile(rb"# (HELP|TYPE|UNIT) (%b|[^ ]++) (.*)" % _STRING, re.DOTALL)
_HELP = {
    False: re.compile(rb"[^\\]*+(?:\\[n\\][^\\]*+)*+"),
    True: re.compile(rb'[^\\"]*+(?:\\[^\n][^\\"]*+)*+'),
}
_UNIT = re.compile(rb"[a-zA-Z0-9_:]*+")


class Metadata:
    """The metadata of the family that a `FamilyParser` reads.

    type          the format's word; that of an unknown type if there is no TYPE
    suffixes      the suffixes that its type allows
    sample_names  the names that its samples may have
    help          still escaped
    """

    __slots__ = ("_given", "help", "name", "openmetrics", "sample_names", "suffixes", "type", "unit")

    def __init__(self, name: bytes, *, openmetrics: bool) -> None:
        self.name = name
        self.openmetrics = openmetrics
        self.type = _UNKNOWN[openmetrics]
        self.suffixes: tuple[bytes, ...] = _NO_SUFFIX
        self.sample_names: tuple[bytes, ...] = (name,)
        self.help = b""
        self.unit = b""
        self._given: tuple[bytes, ...] = ()

    def add(self, keyword: bytes, text: bytes, line: int, faults: Faults) -> None:
        """Take one line: its keyword (HELP, TYPE or UNIT) and the text after the name. The first of each counts."""
        if not self.openmetrics:
            text = text.rstrip(b" \t")
        if keyword in self._given:
            faults.add("metadata", line, f"there is a second {keyword.decode()} of {excerpt(self.name)}")
            if keyword == b"TYPE" and text.decode() != self.type:
                reason = f"the type {excerpt(text)} contradicts the first TYPE of {excerpt(self.name)}"
                self.reset_type(line, faults, reason)
            return
        self._given += (keyword,)
        if keyword == b"TYPE":
            self._add_type(text, line, faults)
        elif keyword == b"HELP":
            self._add_help(text, line, faults)
        elif not text or (_UNIT.fullmatch(text) and self.name.endswith(b"_" + text)):
            self.unit = text
        else:
            faults.add("metadata", line, f"the unit {excerpt(text)} must be the end of the name {excerpt(self.name)}")

    def _add_help(self, text: bytes, line: int, faults: Faults) -> None:
        special = b"\\" in text or (self.openmetrics and b'"' in text)
        if special and not _HELP[self.openmetrics].fullmatch(text):
            character = "a backslash or a quote" if self.openmetrics else "a backslash"
            faults.add("escape", line, f"HELP of {excerpt(self.name)} has {character} that is not escaped")
        self.help = text

    def _add_type(self, text: bytes, line: int, faults: Faults) -> None:
        types = _TYPES[self.openmetrics]
        if text in types:
            self._become(*types[text])
            return
        known = ", ".join(SUFFIXES[self.openmetrics])
        missing = f"the type is missing: it is one of {known}"
        self.reset_type(line, faults, f"the type {excerpt(text)} is none of {known}" if text else missing)

    def set_type(self, kind: str) -> None:
        """Set the type, a word of the format."""
        self._become(*_TYPES[self.openmetrics][kind.encode()])

    def _become(self, kind: str, suffixes: tuple[bytes, ...]) -> None:
        self.type = kind
        if suffixes != self.suffixes:
            self.suffixes = suffixes
            self.sample_names = tuple([self.name + suffix for suffix in suffixes])

    def reset_type(self, line: int, faults: Faults, reason: str) -> None:
        """Set the type to unknown, and report the reason as a fault."""
        faults.add("type", line, reason)
        self.set_type(_UNKNOWN[self.openmetrics])

    def allow_sample_name(self, name: bytes) -> None:
        """Take the name as one of the family's, so that its samples stay in the family that is already dropped."""
        self.sample_names = (*self.sample_names, name)

    def finish(self, line: int, faults: Faults) -> None:
        """Check the metadata as a whole, at the end of the family."""
        if self.unit and self.type in ("info", "stateset"):
            reason = f"{excerpt(self.name)} cannot have a unit, being of the type {self.type}"
            faults.add("metadata", line, reason)
            self.unit = b""


def parse_comment(comment: bytes, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """Return the keyword, the family's name and the text of a `COMMENT`; None if it describes no family.

    Raises MalformedPage if the name, or (in OpenMetrics) the comment, is invalid.
    """
    match = (_OPENMETRICS_LINE if openmetrics else _TEXT_LINE).fullmatch(comment)
    if not match:
        if openmetrics:
            raise MalformedPage(
                line, "after # OpenMetrics has HELP, TYPE, UNIT or EOF, a name and a text, one space between"
            )
        return None
    keyword, name, text = match[1], match[2], match[3] or b""
    if not name:
        return None
    if name.startswith(b'"') and name.endswith(b'"') and len(name) > 2:  # noqa: PLR2004 - the quotes
        return keyword, unescape(name[1:-1]).encode(), text
    if not METRIC_NAME.fullmatch(name):
        raise MalformedPage(
            line, f"expected a metric's name after {keyword.decode()}, but there is {excerpt(name) or 'none'}"
        )
    return keyword, name, text


def parse_metadata_row(row: Row, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """Return the keyword, the family's name and the text of any row; None if it describes no family."""
    if row[KEYWORD]:
        return row[KEYWORD], row[FAMILY], row[TEXT]
    return parse_comment(row[COMMENT], line, openmetrics=openmetrics) if row[COMMENT] else None
