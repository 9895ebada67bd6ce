"""The lines of a metrics page: one regular expression for each format, which sees every byte. No I/O.

`scan` cuts a page into rows, one for each line; a line that fits nothing is a row of its own kind, which `explain` puts
into words. The expressions cannot backtrack (every repetition is possessive), so their time is linear in the page.

Sources: Prometheus, "Exposition formats" (text 0.0.4 and 1.0.0); OpenMetrics 1.0, "ABNF", with the quoted names that
Prometheus has added to both. Numbers are alike in the two: what Go's `ParseFloat` takes, without hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


class Malformed(Exception):
    """The page is not a valid exposition, and so nothing of it is used.

    `line` counts from 1; 0 is the page as a whole (its Content-Type, its number of series). `why` is a phrase without
    the line number; `str()` is the whole sentence: "line 3: the value x is not a number".
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line
        self.why = why


Row = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""A line, whole and in parts, by the indexes below. A sample has a value, any other line has none."""

LINE, NAME, LABELS, VALUE, TIMESTAMP, EXEMPLAR, WORD, FAMILY, TEXT, COMMENT, BAD = range(11)
# LINE       all of it, with its line feed
# NAME       empty where the name stands quoted between the braces
# LABELS     what stands between the braces
# EXEMPLAR   from the space before its `#` on
# WORD       HELP, TYPE or (in OpenMetrics) UNIT, of FAMILY, whose name is not quoted; TEXT is what follows
# COMMENT    any other line with a `#`, from there on
# BAD        the line, where it is neither sample nor comment nor (in text) empty

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_REAL = rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
_NUMBER = rb"(?:%b|[+-]?[Ii][Nn][Ff](?:[Ii][Nn][Ii][Tt][Yy])?+|[Nn][Aa][Nn])" % _REAL
_TEXT_STRING = rb'"[^"\\\n]*+(?:\\[n"\\][^"\\\n]*+)*+"'
_OPENMETRICS_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'  # a backslash before any other character is itself
_BRACES = rb'\{([^"{}\n]*+(?:%b[^"{}\n]*+)*+)\}'
_PARTS = {b"name": _NAME, b"number": _NUMBER, b"real": _REAL}

_BLOCK = 1 << 17  # bytes: enough to work in C for long, too little to weigh in memory

_TEXT = re.compile(
    rb"""(
    [ \t]*+(?:
        (%(name)b|)[ \t]*+(?:%(braces)b[ \t]*+|(?<=[ \t]))(%(number)b)(?:[ \t]++([+-]?[0-9]++))?+()[ \t]*+
        |\#[ \t]*+(HELP|TYPE)[ \t]++(%(name)b)(?=[ \t\n])[ \t]*+([^\n]*+)
        |(\#[^\n]*+)
        |
    )\n
    |([^\n]++\n?+)
    )"""
    % {**_PARTS, b"braces": _BRACES % _TEXT_STRING},
    re.VERBOSE,
)
_OPENMETRICS = re.compile(
    rb"""(
    (?:
        (%(name)b|)(?:%(braces)b)?+[ ](%(number)b)(?:[ ](%(real)b))?+([ ]\#[^\n]++)?+
        |\#[ ](HELP|TYPE|UNIT)[ ](%(name)b)[ ]([^\n]*+)
        |(\#[^\n]*+)
    )\n
    |([^\n]++\n?+|\n)
    )"""
    % {**_PARTS, b"braces": _BRACES % _OPENMETRICS_STRING},
    re.VERBOSE,
)
_FORMATS = {False: _TEXT, True: _OPENMETRICS}
_START = {
    False: re.compile(rb"[ \t]*+(%b|)[ \t]*+(%b)?+" % (_NAME, _BRACES % _TEXT_STRING)),
    True: re.compile(rb"(%b|)(%b)?+" % (_NAME, _BRACES % _OPENMETRICS_STRING)),
}

EXEMPLAR_PARTS = re.compile(rb" # %b (%b)(?: (%b))?+" % (_BRACES % _OPENMETRICS_STRING, _NUMBER, _REAL))
"""An exemplar's labels, value and timestamp."""

NUMBER = re.compile(_NUMBER)
METRIC_NAME = re.compile(_NAME)


def scan(page: bytes, start: int, end: int, *, openmetrics: bool) -> Iterator[list[Row]]:
    """The rows of the lines from one offset to another, a block at a time."""
    pattern = _FORMATS[openmetrics]
    while start < end:
        cut = page.find(b"\n", start + _BLOCK, end) + 1 or end
        yield pattern.findall(page, start, cut)
        start = cut


def show(raw: bytes) -> str:
    """A piece of the page for a sentence: short, and in visible ASCII only."""
    text = raw.decode(errors="replace").strip(" \n")
    if len(text) > 40:  # noqa: PLR2004 - enough to find it by
        text = text[:39] + "…"
    return text.encode("unicode_escape").decode().replace("\\u2026", "…") if not text.isprintable() else text


def explain(line: bytes, *, openmetrics: bool) -> str:
    """Why a BAD line is none, as a phrase."""
    if not line.endswith(b"\n"):
        return "the page ends within this line: its last line must end with a line feed"
    if line == b"\n":
        return "OpenMetrics has no empty lines"
    if b"\r" in line:
        return "there is a carriage return, but lines end with a line feed alone"
    return _explain_start(line, openmetrics=openmetrics)


def _explain_start(line: bytes, *, openmetrics: bool) -> str:
    match = _START[openmetrics].match(line)
    assert match  # noqa: S101 - it matches nothing at all, too
    rest = line[match.end() : -1]
    if not match[1] and match[2] is None and not rest.startswith(b"{"):
        return f"expected a metric's name, but there is {show(rest) or 'none'}"
    if rest.lstrip(b" \t").startswith(b"{"):
        return "the labels are not closed, or there is something unquoted or a wrong escape in them"
    if openmetrics and not re.fullmatch(rb"(?: [^ \t]++)++", rest):
        return "OpenMetrics separates with exactly one space, and ends without one"
    return _explain_values(match[0], rest, openmetrics=openmetrics)


def _explain_values(series: bytes, rest: bytes, *, openmetrics: bool) -> str:
    words = rest.split()
    if not words:
        return f"{show(series)} has no value"
    if not NUMBER.fullmatch(words[0]):
        return f"the value {show(words[0])} is not a number"
    if len(words) == 1:
        return f"there must be a space before {show(rest)}"
    more = show(b" ".join(words[1:]))
    if openmetrics:
        return f"expected a timestamp or an exemplar, but there is {more}"
    return f"expected a timestamp in whole milliseconds and nothing more, but there is {more}"
