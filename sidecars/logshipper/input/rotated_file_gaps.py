"""Gaps between rotated files: find a numbered rotated file that should be there and is missing. Pure.

A missing file means that lines were rotated away before the process could read them. There are two ways to number:

- most rotations rename `app.log` to `app.log.1` and that to `app.log.2`: the highest number is the oldest file;
- some count upwards: the lowest number is the oldest file.

The times of modification tell which one it is. The number is at the end (`app.log.2`) or before the suffix. But
`app.2.log` may also be the log of the second of several writers: it counts only if there is an `app.log`, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial

_NUMBERED = re.compile(r"(.+)[._-](\d{1,3})((?:\.[A-Za-z]\w*)?)")
_SURE = re.compile(r".+\.[A-Za-z]\w*\.\d+")  # a number behind a suffix
_COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|zst|Z|lz4)\Z")


def any_numbered(names: Iterable[str]) -> bool:
    """Return True if one of the names has a number: only beside such files can one be missing."""
    return any(_NUMBERED.fullmatch(name) for name in names)


def missing(names: Collection[str], modified: Mapping[str, int]) -> dict[str, str]:
    """Return, for each rotated log with a gap, the newest rotated file that is missing.

    `names` are the names of all files in one directory. `modified` has the times of those that are to be shipped. The
    oldest number that is there has no predecessor: it may have been deleted, or may never have existed.
    """
    numbered = _by_log(modified)
    there = _by_log(_COMPRESSED.sub("", name) for name in names)
    gaps = {}
    for log, rotated in numbered.items():
        if log not in modified and not _SURE.fullmatch(next(iter(rotated.values()))):
            continue
        numbers = there.get(log, {}).keys() | rotated.keys()  # two listings: each may leave files out
        lowest, highest = min(rotated), max(rotated)
        counts_up = modified[rotated[lowest]] < modified[rotated[highest]]
        if counts_up:
            wanted = (number for number in range(highest, 0, -1) if number not in numbers)
        else:
            wanted = (number for number in range(1, highest + 2) if number not in numbers)
        number = next(wanted, None)
        if number is not None:
            gaps[log] = _NUMBERED.sub(partial(_renumbered, number), rotated[highest])
    return gaps


def _by_log(names: Iterable[str]) -> dict[str, dict[int, str]]:
    """Return the names of rotated files by the name of their log, and by number."""
    logs: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            logs.setdefault(match[1] + match[3], {})[int(match[2])] = name
    return logs


def _renumbered(number: int, match: re.Match[str]) -> str:
    """Return the matched name with another number, with as many digits if it has leading zeros."""
    width = len(match[2]) if match[2].startswith("0") else 1
    name, start, end = match.string, match.start(2), match.end(2)
    return f"{name[:start]}{number:0{width}d}{name[end:]}"
