"""Cut a metrics page into rows: one regular expression for each format, which sees every byte. No I/O.

`scan` yields a row for each line. Any number of lines without meaning (text's empty lines and comments) are one row. A
line that does not fit the grammar is a row of its own kind (`BAD`), and `explain_bad_line` gives the reason.

The expressions cannot backtrack: every repetition is possessive. So their time is linear in the page.

Sources: Prometheus, "Exposition formats" (text 0.0.4 and 1.0.0); OpenMetrics 1.0, "ABNF"; the quoted names that
Prometheus has added to both. Numbers are the same in both formats: the syntax of Go's `ParseFloat`, without hexadecimal
digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.chassis.runtime.printable import truncate

Row = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""A line, whole and in parts, by the indexes below. A sample has a value, any other line has none. Only a row without
any part stands for more than one line; `line_count` counts them."""

LINE, NAME, LABELS, VALUE, TIMESTAMP, EXEMPLAR, KEYWORD, FAMILY, TEXT, COMMENT, BAD = range(11)
# LINE       the whole line, with its line feed
# NAME       the metric's name; empty if it stands quoted between the braces
# LABELS     the bytes between the braces
# EXEMPLAR   the bytes from the space before its `#` on
# KEYWORD    HELP, TYPE or (in OpenMetrics) UNIT, if the family's name is not quoted
# FAMILY     the name of the family that the keyword describes
# TEXT       the rest of the line after FAMILY
# COMMENT    any other line with a `#` that may describe a family, from the `#` on
# BAD        the line, if it is neither sample nor comment nor (in text) empty

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_REAL = rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
_NUMBER = rb"(?:%b|[+-]?[Ii][Nn][Ff](?:[Ii][Nn][Ii][Tt][Yy])?+|[Nn][Aa][Nn])" % _REAL
_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'  # a backslash before any other character than n, " and \ is itself
_BRACES = rb'\{([^"{}\n]*+(?:%b[^"{}\n]*+)*+)\}' % _STRING
_PARTS = {b"name": _NAME, b"number": _NUMBER, b"real": _REAL, b"braces": _BRACES}

_BLOCK = 1 << 17  # bytes: enough for long work in C, too few to matter in memory

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
"""Groups: an exemplar's labels, value and timestamp."""

INVALID_ESCAPE = re.compile(rb'(?<!\\)(?:\\\\)*+\\[^n"\\\n]')
"""A backslash before a character that needs no escape. (A run of backslashes matches from its beginning only.)"""

NUMBER = re.compile(_NUMBER)
METRIC_NAME = re.compile(_NAME)


def cut_blocks(page: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a part of the page at line feeds into blocks of about 128 KiB. Yield the offsets of each."""
    while start < end:
        cut = page.find(b"\n", start + _BLOCK, end) + 1 or end
        yield start, cut
        start = cut


def scan(page: bytes, start: int, end: int, *, openmetrics: bool) -> Iterator[list[Row]]:
    """Yield the rows of the lines between two offsets, block by block."""
    pattern = _FORMATS[openmetrics]
    for begin, cut in cut_blocks(page, start, end):
        yield pattern.findall(page, begin, cut)


def sample_runs(page: bytes, start: int, end: int, line: int, *, openmetrics: bool) -> Iterator[tuple[int, list[Row]]]:
    """Yield the samples between two offsets as runs of consecutive lines, each with the number of its first line.

    `line` is the number of the line at the offset `start`.
    """
    for rows in scan(page, start, end, openmetrics=openmetrics):
        begin = 0
        for at, row in enumerate(rows):
            if row[VALUE]:
                continue
            if begin < at:
                yield line, rows[begin:at]
            line += at - begin + line_count(row)
            begin = at + 1
        if begin < len(rows):
            yield line, rows[begin:]
            line += len(rows) - begin


def line_count(row: Row) -> int:
    """Return the number of lines that the row stands for."""
    return row[LINE].count(b"\n")


def check_utf8(page: bytes) -> None:
    """Raise `MalformedPage`, with the line, if the page is not UTF-8."""
    if page.isascii():
        return
    for start, end in cut_blocks(page, 0, len(page)):
        try:
            page[start:end].decode()
        except UnicodeDecodeError as error:
            raise MalformedPage(page.count(b"\n", 0, start + error.start) + 1, "this is not UTF-8") from None


def excerpt(raw: bytes) -> str:
    """Return a part of the page for an error message: at most 40 characters, all printable."""
    text = truncate(raw.decode(errors="replace").strip(" \n"), _EXCERPT)
    return text.encode("unicode_escape").decode().replace("\\u2026", "…") if not text.isprintable() else text


def explain_bad_line(line: bytes, *, openmetrics: bool) -> str:
    """Return the reason, as a phrase, why a `BAD` line does not fit the format's grammar."""
    if not line.endswith(b"\n"):
        return "the page ends within this line: its last line must end with a line feed"
    if line == b"\n":
        return "OpenMetrics has no empty lines"
    if b"\r" in line:
        return "there is a carriage return, but lines end with a line feed alone"
    return _explain_start(line, openmetrics=openmetrics)


def _explain_start(line: bytes, *, openmetrics: bool) -> str:
    match = _START[openmetrics].match(line)
    assert match  # noqa: S101 - it matches the empty string, too
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
