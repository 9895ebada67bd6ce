"""Which rotated files are missing beside those that are there, told by their numbers. Without any I/O.

The two ways to number: most rename `app.log` to `app.log.1` and that to `app.log.2`, so that the highest number is the
oldest file; some count upwards, so that the lowest is. Times of modification tell which it is. Numbers are looked for
at the end (`app.log.2`) and before the suffix; but `app.2.log` may as well be the log of the second of several writers,
and counts only where there is an `app.log`, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial

_NUMBERED = re.compile(r"(.+)[._-](\d{1,3})((?:\.[A-Za-z]\w*)?)")
_SURE = re.compile(r".+\.[A-Za-z]\w*\.\d+")  # a number behind a suffix
_COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|zst|Z|lz4)\Z")


def missing(names: Collection[str], modified: Mapping[str, int]) -> dict[str, str]:
    """Return, for each log that was rotated, a rotated file that should be there and is not: the newest such.

    `names` are those of all files in one directory, `modified` the times of those that are to be shipped. The oldest
    number that is there has no predecessor by nature: it may be gone, or may never have been there.
    """
    numbered = _by_log(modified)
    there = _by_log(_COMPRESSED.sub("", name) for name in names)
    found = {}
    for log, rotated in numbered.items():
        if log not in modified and not _SURE.fullmatch(next(iter(rotated.values()))):
            continue
        numbers = there[log].keys() | rotated.keys()
        lowest, highest = min(rotated), max(rotated)
        counts_up = modified[rotated[lowest]] < modified[rotated[highest]]
        if counts_up:
            wanted = (number for number in range(highest, 0, -1) if number not in numbers)
        else:
            wanted = (number for number in range(1, highest + 2) if number not in numbers)
        number = next(wanted, None)
        if number is not None:
            found[log] = _NUMBERED.sub(partial(_renumbered, number), rotated[highest])
    return found


def _by_log(names: Iterable[str]) -> dict[str, dict[int, str]]:
    """Return the names of rotated files by the name of their log, and by number."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            found.setdefault(match[1] + match[3], {})[int(match[2])] = name
    return found


def _renumbered(number: int, match: re.Match[str]) -> str:
    """Return the matched name with another number, with as many digits where it has leading zeros."""
    width = len(match[2]) if match[2].startswith("0") else 1
    name, start, end = match.string, match.start(2), match.end(2)
    return f"{name[:start]}{number:0{width}d}{name[end:]}"
