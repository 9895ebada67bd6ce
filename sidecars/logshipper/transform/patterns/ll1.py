"""Proves that a regex is LL(1): the next character alone decides how the match goes on.

Python's `re` backtracks, and its time can be exponential. For an LL(1) regex it cannot: a match that fails costs each
repeat one step back for each character that it took, and nothing more.

The proof computes for each item of the parsed regex the set of its first characters. Two sets must be disjoint:

| item | disjoint sets |
|---|---|
| alternatives | the first characters of all branches |
| `x*`, `x+`, `x?`, `x{m,n}` | the first characters of x, and of the items after the repeat |

A regex with an item that is not understood here counts as not LL(1): `linear_regex` uses RE2 for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

# Private modules without types. A regex that they do not know, or know under another name, goes to RE2.
op: Any = import_module("re._constants")
sre: Any = import_module("re._parser")

_OTHER = 128  # stands for all characters that are not ASCII
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


class _NotProved(Exception):
    """Two ways to go on begin with the same character, or the regex has an item that is not understood here."""


def is_ll1(pattern: str) -> bool:
    """True if the regex is proved to be LL(1)."""
    try:
        tree = sre.parse(pattern, re.ASCII | re.MULTILINE)
        if tree.state.flags & (re.IGNORECASE | re.DOTALL | re.VERBOSE | re.LOCALE):
            return False
        _first(list(tree), _END)
    except (_NotProved, re.error):
        return False
    return True


def _first(items: list[Any], follow: frozenset[int]) -> frozenset[int]:
    """Return the characters with which the items can begin. `follow`: the first characters of the items after them."""
    for code, value in reversed(items):
        follow = _before(code, value, follow)
    return follow


def _before(code: Any, value: Any, follow: frozenset[int]) -> frozenset[int]:
    """Return the characters with which one item can begin."""
    if code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):
        return _characters(code, value)
    if code is op.SUBPATTERN:
        _, added, removed, inner = value
        if added or removed:
            raise _NotProved
        return _first(list(inner), follow)
    if code is op.BRANCH:
        return _disjoint_union([_first(list(branch), follow) for branch in value[1]])
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = value
        return _repeat(least, most, list(inner), follow)
    if code is op.AT and value in _FREE:
        return follow
    raise _NotProved


def _repeat(least: int, most: Any, items: list[Any], follow: frozenset[int]) -> frozenset[int]:
    begin = _first(items, frozenset())
    if not begin or _first(items, _END) & _END:  # the repeated items can be empty
        raise _NotProved
    if least == most:  # no choice
        _first(items, follow if most == 1 else begin | follow)
        return begin if most else follow
    both = _disjoint_union([begin, follow])
    _first(items, follow if most == 1 else both)
    return begin if least else both


def _disjoint_union(sets: list[frozenset[int]]) -> frozenset[int]:
    """Return the union of the sets. Raises _NotProved if two of them share a character."""
    union: frozenset[int] = frozenset()
    for members in sets:
        if union & members:
            raise _NotProved
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
            raise _NotProved
    if not negated:
        return frozenset(members)
    return (_ALL - members) | {_OTHER}  # some characters beyond ASCII are in the class, whatever it excludes


@cache
def _category(name: Any) -> frozenset[int]:
    matches = _CATEGORIES[name].fullmatch
    return frozenset(code for code in _ALL if matches(chr(code) if code < _OTHER else "\u0100"))


# -- groups --------------------------------------------------------------------------------------------------------


def may_skip_groups(pattern: str) -> bool:
    """True if some group of the regex may take no part in a match."""
    return _may_skip_groups(list(sre.parse(pattern, re.ASCII | re.MULTILINE)))


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
