"""Users' regexes in linear time, for any text: no log line can stop the shipper.

| engine | searching a chunk | reading groups | time |
|---|---|---|---|
| RE2 | 500 MB a second and more | slow | always linear |
| Python's `re` | slow | ten times as fast as RE2 | can be exponential |

So searches use RE2. A regex whose groups are needed uses `re` if it is proved to be LL(1) (see `ll1`), and RE2 if not.

Both engines read a regex in the same way. Constructs that RE2 lacks are refused. Digits, words and blanks are ASCII.
`^` and `$` are the ends of a line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import methodcaller
from typing import Protocol

from sidecars.logshipper.transform.patterns.ll1 import is_ll1, may_skip_groups

_MEMORY = 8 * 1024 * 1024  # bytes of RE2's tables; RE2 is fifty times as slow if they do not fit


class Re2Match(Protocol):
    """A match of RE2. Offsets count bytes."""

    def start(self) -> int: ...
    def span(self, group: int = 0) -> tuple[int, int]: ...
    def groups(self) -> Sequence[bytes | None]: ...


class Re2Regex(Protocol):
    """A compiled regex of RE2, which has no type stubs."""

    @property
    def groups(self) -> int: ...
    @property
    def groupindex(self) -> Mapping[bytes, int]: ...
    def search(self, data: bytes, pos: int = 0, endpos: int | None = None) -> Re2Match | None: ...
    def match(self, data: bytes) -> Re2Match | None: ...
    def fullmatch(self, data: bytes) -> Re2Match | None: ...
    def finditer(self, data: bytes) -> Iterator[Re2Match]: ...


def compile_re2(pattern: str, *, groups: bool = True, memory: int = _MEMORY) -> Re2Regex:
    """Compile the pattern for RE2, on UTF-8. Raises ValueError with the mistake and its place.

    `memory`: bytes of RE2's tables. A pattern that needs more is refused.
    """
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - it takes 3 MB: loaded for regexes only

    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.never_capture = not groups
    if anchor := _TEXT_ANCHOR.search(pattern):
        place = f"{anchor[1]} at character {anchor.start(1) + 1}"
        raise ValueError(f"has {place}: many events are searched at once, and the ends of one's lines are ^ and $")
    try:
        compiled: Re2Regex = re2.compile(f"(?m){pattern}".encode(), options)
    except re2.error as error:
        raise ValueError(_why(pattern, str(error))) from None
    return compiled


def _why(pattern: str, message: str) -> str:
    """Return the mistake in a pattern that RE2 refuses. Python's parser gives the better place."""
    try:
        re.compile(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        return f"is not a regex: {error.msg}{where}"
    except (OverflowError, RecursionError):
        return "is too large a regex"
    return f"cannot be matched in linear time: {_with_place(pattern, message)}"


def _with_place(pattern: str, message: str) -> str:
    """Return RE2's message, with the place of the text that it quotes."""
    kind, _, quoted = message.strip("b'\"").partition(": ")
    at = pattern.find(quoted) if quoted else -1
    return f"{kind}: {quoted}" + (f" at character {at + 1}" if at >= 0 else "")


_TEXT_ANCHOR = re.compile(r"(?<!\\)(?:\\\\)*(\\[AzZ]|\(\?[a-zA-Z]*-[a-zA-Z]*m)")


_WINDOW = 4096
"""Bytes of the texts that are searched together, or one text. In one text: the longest match that is surely found."""
_WHOLE = 256
"""Matches of one text that are searched in all that is left of it. Those behind them are searched in windows."""


class Finder:
    """Finds the texts in which a pattern occurs, in one search through all texts together."""

    def __init__(self, pattern: str) -> None:
        self._search = compile_re2(pattern, groups=False).search

    def candidates(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of all texts in which the pattern occurs, and of some in which it may not.

        A match may include characters of the neighbouring texts.
        """
        return [index for index, _ in self._hits(texts)]

    def matching(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of the texts in which the pattern occurs."""
        return [index for index, alone in self._hits(texts) if alone or self._search(texts[index].encode())]

    def _hits(self, texts: Sequence[str]) -> Iterable[tuple[int, bool]]:
        """Yield indices in rising order, each with True if the match lies in that text alone.

        A search for the end of a match may go on to the end of the data, which is why what is behind the first match
        is searched in windows: else many matches would take time by the square of the texts.
        """
        joined = "\n".join(texts)
        data = joined.encode()
        found = self._search(data)
        if not found:
            return
        lengths = map(len, texts if len(data) == len(joined) else map(str.encode, texts))
        starts = list(accumulate((length + 1 for length in lengths), initial=0))  # of all texts, and the end
        first = bisect_right(starts, found.span()[0]) - 1
        while first < len(texts):
            stop = max(first + 1, bisect_right(starts, starts[first] + _WINDOW) - 1)
            yield from self._hits_in_window(data, starts, first, stop)
            first = stop

    def _hits_in_window(self, data: bytes, starts: Sequence[int], first: int, stop: int) -> Iterable[tuple[int, bool]]:
        """Yield the hits in the texts from `first` to before `stop`."""
        limit = starts[stop] - 1
        found = self._search(data, starts[first], limit)
        while found:
            start, end = found.span()
            index = bisect_right(starts, start, first, stop) - 1
            yield index, end < starts[index + 1]
            while (after := starts[index + 1]) <= end and index + 1 < stop:  # the match goes on there
                index += 1
                yield index, False
            found = self._search(data, after, limit) if after <= limit else None


# -- all matches of one text ---------------------------------------------------------------------------------------


def matches(regex: Re2Regex, data: bytes) -> Iterator[Re2Match]:
    """Yield the matches in a text (UTF-8), from left to right, without overlaps: those of `finditer`, in linear time.

    A search for the end of a match may go on to the end of the text, and the next one begins behind a short match. So
    `finditer` takes time by the square of the text if there are many matches. Here the first `_WHOLE` matches are those
    of `finditer`. Behind them the text is searched in windows.

    The limit: behind the first `_WHOLE` matches, a match of more than `_WINDOW` bytes may be missed, or be a shorter
    one. It is found at any length if each longer window is a match up to its end, as for `[^;]*`. A match that is no
    longer than `_WINDOW` is always found, unless it begins within one that was found instead of a longer one.
    """
    return regex.finditer(data) if len(data) <= 2 * _WINDOW else _matches_of_a_long_text(regex, data)


def _matches_of_a_long_text(regex: Re2Regex, data: bytes) -> Iterator[Re2Match]:
    at = 0
    for number, found in enumerate(regex.finditer(data), 1):
        yield found
        at = max(found.span()[1], at + 1)  # `finditer`, too, goes on by a byte behind an empty match
        if number == _WHOLE:
            break
    else:
        return
    while at <= len(data):
        limit = _end_of_character(data, at + 2 * _WINDOW)
        candidate = regex.search(data, at, limit)
        if candidate and (candidate.start() < at + _WINDOW or limit == len(data)):
            found = _to_its_end(regex, data, candidate, limit)
            yield found
            at = max(found.span()[1], at + 1)
        elif limit == len(data):
            return
        else:  # a match that begins further on has more room in the next window
            at += _WINDOW


def _to_its_end(regex: Re2Regex, data: bytes, found: Re2Match, limit: int) -> Re2Match:
    r"""Return the match that `found` is the beginning of, if `found` ends at the limit of its search.

    RE2 looks at the bytes around the limits of a search for `^`, `$` and `\b`, so that only repeats end falsely there.
    Each search has twice the room of the one before: all of them take time linear in the match.
    """
    start, end = found.span()
    room = limit - start
    while end == limit < len(data):
        room *= 2
        limit = _end_of_character(data, start + room)
        longer = regex.search(data, start, limit)
        if longer is None:  # cannot be: a match within a part of the room is one in all of it
            return found
        found, end = longer, longer.span()[1]
    return found


_CONTINUATION = range(0x80, 0xC0)  # bytes of a character of UTF-8 behind its first one


def _end_of_character(data: bytes, at: int) -> int:
    """Return the first place from `at` on that is between two characters of UTF-8: no repeat ends within one."""
    while at < len(data) and data[at] in _CONTINUATION:
        at += 1
    return min(at, len(data))


# -- groups --------------------------------------------------------------------------------------------------------

Groups = Callable[[str], Sequence[str | None] | None]


def group_matcher(pattern: str) -> Groups:
    """Return a function for the groups of a line that the pattern matches as a whole; it returns None for others."""
    compiled = compile_re2(pattern)
    if is_ll1(pattern):
        match = re.compile(pattern, re.ASCII | re.MULTILINE).fullmatch

        def by_re(text: str) -> Sequence[str | None] | None:
            found = match(text)
            return found.groups() if found else None

        return by_re

    def by_re2(text: str) -> Sequence[str | None] | None:
        found = compiled.fullmatch(text.encode())
        if not found:
            return None
        return [None if group is None else group.decode("utf-8", "replace") for group in found.groups()]

    return by_re2


Rows = Callable[[Sequence[str]], Sequence[Sequence[str]] | None]


def row_matcher(pattern: str) -> Rows | None:
    """Return a function for the groups of many lines at once; it returns None if one line does not match as a whole.

    None if the pattern needs RE2, or has groups that may take no part in a match.
    """
    if not is_ll1(pattern) or may_skip_groups(pattern):
        return None
    match, groups_of = re.compile(pattern, re.ASCII | re.MULTILINE).fullmatch, methodcaller("groups")

    def found(texts: Sequence[str]) -> Sequence[Sequence[str]] | None:
        if "\n" in "".join(texts):
            return None
        matches = list(map(match, texts))
        return None if None in matches else list(map(groups_of, matches))

    return found


def prefix_matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that is true for lines with the pattern at their beginning."""
    compiled = compile_re2(pattern, groups=False)
    if is_ll1(pattern):
        return re.compile(pattern, re.ASCII).match
    return lambda text: compiled.match(text.encode())


def group_names(pattern: str) -> list[str]:
    """Return the names of the groups, in order; "" for a group without a name."""
    regex = compile_re2(pattern)
    named = {number: name.decode() for name, number in regex.groupindex.items()}
    return [named.get(number, "") for number in range(1, regex.groups + 1)]
