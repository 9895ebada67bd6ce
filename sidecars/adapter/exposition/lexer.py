"""The lines of a metrics page: one regular expression for each format, which sees every byte. No I/O.

`scan` cuts a page into rows: one for each line, and one for any number of lines that say nothing (text's empty lines
and notes). A line that fits nothing is a row of its own kind, which `explain` puts into words. The expressions cannot
backtrack (every repetition is possessive), so their time is linear in the page.

Sources: Prometheus, "Exposition formats" (text 0.0.4 and 1.0.0); OpenMetrics 1.0, "ABNF", with the quoted names that
Prometheus has added to both. Numbers are alike in the two: what Go's `ParseFloat` takes, without hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.chassis.runtime.printable import truncate

Row = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""A line, whole and in parts, by the indexes below. A sample has a value, any other line has none. Only a row without
any part stands for more lines than one; `feeds` counts them."""

LINE, NAME, LABELS, VALUE, TIMESTAMP, EXEMPLAR, WORD, FAMILY, TEXT, COMMENT, BAD = range(11)
# LINE       all of it, with its line feed
# NAME       empty where the name stands quoted between the braces
# LABELS     what stands between the braces
# EXEMPLAR   from the space before its `#` on
# WORD       HELP, TYPE or (in OpenMetrics) UNIT, of FAMILY, whose name is not quoted; TEXT is what follows
# COMMENT    any other line with a `#` that may describe a family, from there on
# BAD        the line, where it is neither sample nor comment nor (in text) empty

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_REAL = rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
_NUMBER = rb"(?:%b|[+-]?[Ii][Nn][Ff](?:[Ii][Nn][Ii][Tt][Yy])?+|[Nn][Aa][Nn])" % _REAL
_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'  # a backslash before any other character than n, " and \ is itself
_BRACES = rb'\{([^"{}\n]*+(?:%b[^"{}\n]*+)*+)\}' % _STRING
_PARTS = {b"name": _NAME, b"number": _NUMBER, b"real": _REAL, b"braces": _BRACES}

_BLOCK = 1 << 17  # bytes: enough to work in C for long, too little to weigh in memory

_EXCERPT = 40  # characters of a line in a message: enough to find it by

_TEXT = re.compile(
    rb"""(
    [ \t]*+(?:
        (%(name)b|)[ \t]*+(?:%(braces)b[ \t]*+|(?<=[ \t]))(%(number)b)(?:[ \t]++([+-]?[0-9]++))?+()[ \t]*+
        |\#[ \t]*+(HELP|TYPE)[ \t]++(%(name)b)(?=[ \t\n])[ \t]*+([^\n]*+)
        |(\#[ \t]*+(?:HELP|TYPE)(?=[ \t\n])[^\n]*+)
    )\n
    |(?:[ \t]*+(?:\#(?![ \t]*+(?:HELP|TYPE)[ \t\n])[^\n]*+)?+\n)++
    |([^\n]++\n?+)
    )"""
    % _PARTS,
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
    % _PARTS,
    re.VERBOSE,
)
_FORMATS = {False: _TEXT, True: _OPENMETRICS}
_START = {
    False: re.compile(rb"[ \t]*+(%b|)[ \t]*+(%b)?+" % (_NAME, _BRACES)),
    True: re.compile(rb"(%b|)(%b)?+" % (_NAME, _BRACES)),
}

EXEMPLAR_PARTS = re.compile(rb" # %b (%b)(?: (%b))?+" % (_BRACES, _NUMBER, _REAL))
"""An exemplar's labels, value and timestamp."""

ODD_ESCAPE = re.compile(rb'(?<!\\)(?:\\\\)*+\\[^n"\\\n]')
"""A backslash before a character that needs none. (A run of backslashes is seen from its beginning only.)"""

NUMBER = re.compile(_NUMBER)
METRIC_NAME = re.compile(_NAME)


def blocks(page: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a piece of the page at line feeds into parts of about 128 KiB."""
    while start < end:
        cut = page.find(b"\n", start + _BLOCK, end) + 1 or end
        yield start, cut
        start = cut


def scan(page: bytes, start: int, end: int, *, openmetrics: bool) -> Iterator[list[Row]]:
    """The rows of the lines from one offset to another, a block at a time."""
    pattern = _FORMATS[openmetrics]
    for begin, cut in blocks(page, start, end):
        yield pattern.findall(page, begin, cut)


def runs(page: bytes, start: int, end: int, line: int, *, openmetrics: bool) -> Iterator[tuple[int, list[Row]]]:
    """The samples from one offset to another: rows of lines in a row, and the number of the first line."""
    for rows in scan(page, start, end, openmetrics=openmetrics):
        begin = 0
        for at, row in enumerate(rows):
            if row[VALUE]:
                continue
            if begin < at:
                yield line, rows[begin:at]
            line += at - begin + feeds(row)
            begin = at + 1
        if begin < len(rows):
            yield line, rows[begin:]
            line += len(rows) - begin


def feeds(row: Row) -> int:
    """The number of lines that the row stands for."""
    return row[LINE].count(b"\n")


def check_utf8(page: bytes) -> None:
    """Raises `Malformed` with the line that is not UTF-8."""
    if page.isascii():
        return
    for start, end in blocks(page, 0, len(page)):
        try:
            page[start:end].decode()
        except UnicodeDecodeError as error:
            raise MalformedPage(page.count(b"\n", 0, start + error.start) + 1, "this is not UTF-8") from None


def excerpt(raw: bytes) -> str:
    """A piece of the page for a sentence: short, and in visible ASCII only."""
    text = truncate(raw.decode(errors="replace").strip(" \n"), _EXCERPT)
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
        return f"expected a metric's name, but there is {excerpt(rest) or 'none'}"
    if rest.lstrip(b" \t").startswith(b"{"):
        return "the labels are not closed, or there is something unquoted in them"
    if openmetrics and not re.fullmatch(rb"(?: [^ \t]++)++", rest):
        return "OpenMetrics separates with exactly one space, and ends without one"
    return _explain_values(match[0], rest, openmetrics=openmetrics)


def _explain_values(series: bytes, rest: bytes, *, openmetrics: bool) -> str:
    words = rest.split()
    if not words:
        return f"{excerpt(series)} has no value"
    if not NUMBER.fullmatch(words[0]):
        return f"the value {excerpt(words[0])} is not a number"
    if len(words) == 1:
        return f"there must be a space before {excerpt(rest)}"
    more = excerpt(b" ".join(words[1:]))
    if openmetrics:
        return f"expected a timestamp or an exemplar, but there is {more}"
    return f"expected a timestamp in whole milliseconds and nothing more, but there is {more}"
