"""Users' regexes, run in time that is linear in the text, whatever the text: a log line must not stop the shipper.

RE2 gives that guarantee, and finds a pattern in a whole chunk at more than 500 MB a second. But it is slow at telling
what each group matched. Python's `re` is ten times as fast at that, and its time can be exponential. So a pattern whose
groups are wanted goes to `re` where one look at the next character always tells how to go on: `decides_at_once` proves
that. A match that fails then costs each repeat one step back for each character that it took, and nothing beyond.

Both read a pattern alike: what RE2 lacks is refused, digits, words and blanks are ASCII, and `^` and `$` are the ends
of a line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from operator import methodcaller
from re import _constants as op  # type: ignore[attr-defined] # private: what it does not have makes a pattern go to RE2
from re import _parser as sre  # type: ignore[attr-defined] # as above
from typing import Any

_MEMORY = 8 * 1024 * 1024  # bytes that RE2's tables may take; without room for them it is fifty times as slow


def compile_re2(pattern: str, *, groups: bool = True) -> Any:
    """The pattern for RE2, on UTF-8. Raises ValueError with what is wrong, and where."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - 3 MB that only those pay who use it

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = not groups
    if elsewhere := _ENDS_OF_ALL.search(pattern):
        place = f"{elsewhere[1]} at character {elsewhere.start(1) + 1}"
        raise ValueError(f"has {place}: many events are searched at once, and the ends of one's lines are ^ and $")
    try:
        return re2.compile(f"(?m){pattern}".encode(), options)
    except re2.error as error:
        raise ValueError(_why(pattern, str(error))) from None


def _why(pattern: str, message: str) -> str:
    """What is wrong with a pattern that RE2 does not take; Python's parser is the better one at telling where."""
    try:
        re.compile(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        return f"is not a regex: {error.msg}{where}"
    except (OverflowError, RecursionError):
        return "is too large a regex"
    return f"cannot be matched in linear time: {_told(pattern, message)}"


def _told(pattern: str, message: str) -> str:
    """RE2's message, with the place of what it quotes."""
    kind, _, quoted = message.strip("b'\"").partition(": ")
    at = pattern.find(quoted) if quoted else -1
    return f"{kind}: {quoted}" + (f" at character {at + 1}" if at >= 0 else "")


_ENDS_OF_ALL = re.compile(r"(?<!\\)(?:\\\\)*(\\[AzZ]|\(\?[a-zA-Z]*-[a-zA-Z]*m)")


class Finder:
    """Which of many texts a pattern occurs in: one search through all of them together."""

    def __init__(self, pattern: str) -> None:
        self._search = compile_re2(pattern, groups=False).search

    def candidates(self, texts: Sequence[str]) -> list[int]:
        """The texts in which it occurs, and perhaps those in which it would with a neighbour's characters added."""
        return [index for index, _ in self._hits(texts)]

    def matching(self, texts: Sequence[str]) -> list[int]:
        """The texts in which it occurs."""
        return [index for index, alone in self._hits(texts) if alone or self._search(texts[index].encode())]

    def _hits(self, texts: Sequence[str]) -> Iterable[tuple[int, bool]]:
        """Indices in rising order, and whether the match lies in that text alone."""
        joined = "\n".join(texts)
        data = joined.encode()
        found = self._search(data)
        if not found:
            return
        lengths = map(len, texts if len(data) == len(joined) else map(str.encode, texts))
        starts = list(accumulate((length + 1 for length in lengths), initial=0))  # of each, and where one more would
        while found:
            start, end = found.span()
            index = bisect_right(starts, start) - 1
            yield index, end < starts[index + 1]
            while (after := starts[index + 1]) <= end and index + 2 < len(starts):  # it goes on in the texts behind
                index += 1
                yield index, False
            found = self._search(data, after) if after < starts[-1] else None


# -- groups --------------------------------------------------------------------------------------------------------

Groups = Callable[[str], Sequence[str | None] | None]


def group_matcher(pattern: str) -> Groups:
    """What the groups match, where the pattern matches a line as a whole; else None."""
    slow = compile_re2(pattern)
    if is_ll1(pattern):
        match = re.compile(pattern, re.ASCII | re.MULTILINE).fullmatch

        def fast(text: str) -> Sequence[str | None] | None:
            found = match(text)
            return found.groups() if found else None

        return fast

    def safe(text: str) -> Sequence[str | None] | None:
        found = slow.fullmatch(text.encode())
        if not found:
            return None
        return [None if group is None else group.decode("utf-8", "replace") for group in found.groups()]

    return safe


Rows = Callable[[Sequence[str]], Sequence[Sequence[str]] | None]


def row_matcher(pattern: str) -> Rows | None:
    """What the groups match in each of many lines, in one go; None where one of them does not match as a whole.

    There is no such way for a pattern that needs RE2, or that has groups which may take no part in a match.
    """
    if not is_ll1(pattern) or _may_skip_groups(list(sre.parse(pattern, re.ASCII | re.MULTILINE))):
        return None
    match, groups_of = re.compile(pattern, re.ASCII | re.MULTILINE).fullmatch, methodcaller("groups")

    def found(texts: Sequence[str]) -> Sequence[Sequence[str]] | None:
        if "\n" in "".join(texts):
            return None
        matches = list(map(match, texts))
        return None if None in matches else list(map(groups_of, matches))

    return found


def _may_skip_groups(items: list[Any], *, optional: bool = False) -> bool:
    for code, value in items:
        if code is op.SUBPATTERN:
            if optional and value[0] is not None:
                return True
            if _may_skip_groups(list(value[3]), optional=optional):
                return True
        elif code is op.BRANCH:
            if any(_may_skip_groups(list(branch), optional=True) for branch in value[1]):
                return True
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT) and _may_skip_groups(list(value[2]), optional=value[0] == 0):
            return True
    return False


def prefix_matcher(pattern: str) -> Callable[[str], Any]:
    """Whether the pattern matches at the beginning of a line."""
    slow = compile_re2(pattern, groups=False)
    if is_ll1(pattern):
        return re.compile(pattern, re.ASCII).match
    return lambda text: slow.match(text.encode())


def group_names(pattern: str) -> list[str]:
    """The names of the groups, in order; "" for one without."""
    regex = compile_re2(pattern)
    named = {number: name.decode() for name, number in regex.groupindex.items()}
    return [named.get(number, "") for number in range(1, regex.groups + 1)]


# -- the proof -----------------------------------------------------------------------------------------------------

_OTHER = 128  # stands for every character that is not ASCII
_ALL = frozenset(range(_OTHER + 1))
_END = frozenset([-1])
_CATEGORIES = {
    op.CATEGORY_DIGIT: re.compile(r"\d", re.ASCII),
    op.CATEGORY_NOT_DIGIT: re.compile(r"\D", re.ASCII),
    op.CATEGORY_SPACE: re.compile(r"\s", re.ASCII),
    op.CATEGORY_NOT_SPACE: re.compile(r"\S", re.ASCII),
    op.CATEGORY_WORD: re.compile(r"\w", re.ASCII),
    op.CATEGORY_NOT_WORD: re.compile(r"\W", re.ASCII),
}
_FREE = {op.AT_BEGINNING, op.AT_END, op.AT_BEGINNING_STRING, op.AT_END_STRING, op.AT_BOUNDARY, op.AT_NON_BOUNDARY}


class _Undecided(Exception):
    """Two ways to go on begin with the same character, or the pattern has something that is not understood here."""


def is_ll1(pattern: str) -> bool:
    """Whether the next character alone always tells which way of the pattern can match (it is LL(1))."""
    try:
        tree = sre.parse(pattern, re.ASCII | re.MULTILINE)
        if tree.state.flags & (re.IGNORECASE | re.DOTALL | re.VERBOSE | re.LOCALE):
            return False
        _first(list(tree), _END)
    except (_Undecided, re.error):
        return False
    return True


def _first(items: list[Any], follow: frozenset[int]) -> frozenset[int]:
    """The characters that the items, with `follow` behind them, can begin with."""
    for code, value in reversed(items):
        follow = _before(code, value, follow)
    return follow


def _before(code: Any, value: Any, follow: frozenset[int]) -> frozenset[int]:
    if code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):
        return _characters(code, value)
    if code is op.SUBPATTERN:
        _, added, removed, inner = value
        if added or removed:
            raise _Undecided
        return _first(list(inner), follow)
    if code is op.BRANCH:
        return _apart([_first(list(branch), follow) for branch in value[1]])
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = value
        return _repeat(least, most, list(inner), follow)
    if code is op.AT and value in _FREE:
        return follow
    raise _Undecided


def _repeat(least: int, most: Any, items: list[Any], follow: frozenset[int]) -> frozenset[int]:
    begin = _first(items, frozenset())
    if not begin or _first(items, _END) & _END:  # it can be empty
        raise _Undecided
    if least == most:  # no choice
        _first(items, follow if most == 1 else begin | follow)
        return begin if most else follow
    both = _apart([begin, follow])
    _first(items, follow if most == 1 else both)
    return begin if least else both


def _apart(sets: list[frozenset[int]]) -> frozenset[int]:
    union: frozenset[int] = frozenset()
    for members in sets:
        if union & members:
            raise _Undecided
        union |= members
    return union


def _characters(code: Any, value: Any) -> frozenset[int]:
    if code is op.LITERAL:
        return frozenset([min(value, _OTHER)])
    if code is op.NOT_LITERAL:
        return _ALL - {value} if value < _OTHER else _ALL
    if code is op.ANY:
        return _ALL - {ord("\n")}
    return _class(value)


def _class(items: Iterable[tuple[Any, Any]]) -> frozenset[int]:
    members: set[int] = set()
    negated = False
    for code, value in items:
        if code is op.NEGATE:
            negated = True
        elif code is op.LITERAL:
            members.add(min(value, _OTHER))
        elif code is op.RANGE:
            members.update(range(min(value[0], _OTHER), min(value[1], _OTHER) + 1))
        elif code is op.CATEGORY:
            members |= _category(value)
        else:
            raise _Undecided
    if not negated:
        return frozenset(members)
    return (_ALL - members) | {_OTHER}  # some other characters may be in it, whatever is taken away


@cache
def _category(name: Any) -> frozenset[int]:
    matches = _CATEGORIES[name].fullmatch
    return frozenset(code for code in _ALL if matches(chr(code) if code < _OTHER else "\u0100"))
