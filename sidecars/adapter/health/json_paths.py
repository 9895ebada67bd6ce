"""The grammar of ADAPTER_SELECT: named paths into JSON. No I/O.

    depth=$.queue.depth; ok=$.checks[?(@.name=="db")].ok

Each line, or each part between `;`, is the name of a metric and a path. The paths are the part of JSONPath (RFC 9535)
that names places rather than searches for them:

    $                  the whole document
    .name  ['name']    a member
    [2]  [-1]          an element, counted from the beginning or the end
    .*  [*]            all members or elements; the metric gets their keys as the label `key`
    [?(@.name=="db")]  those whose member equals a string, a number, true or false
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sidecars.chassis.config.source_position import position_of

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*=\s*\$")
_STEP = re.compile(
    r"""\.(?P<member>[^\s.\[\];*'"]+)
      | \[(?P<index>-?[0-9]{1,9})\]
      | (?P<all>\.\*|\[\*\])
      | \[(?P<quoted>'[^'\n]*'|"[^"\n]*")\]
      | \[\?\s*\(?\s*@\.(?P<key>[^\s.\[\]=;'"]+)\s*==\s*
        (?P<equal>'[^'\n]*'|"[^"\n]*"|-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?|true|false)\s*\)?\s*\]
    """,
    re.VERBOSE,
)
_END = re.compile(r"[ \t]*(;|\n|$)\s*")
_MAX_STEPS = 50  # of a path
_RESERVED = ("health_http_status_code", "health_select_unknown_values", "adapter_app_up")


@dataclass(frozen=True, slots=True)
class NameStep:
    """`.name`: the member of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class IndexStep:
    """`[2]`: the element at that index; a negative index counts from the end."""

    index: int


@dataclass(frozen=True, slots=True)
class WildcardStep:
    """`[*]`: all members of an object, or all elements of an array."""


@dataclass(frozen=True, slots=True)
class FilterStep:
    """`[?(@.name=="db")]`: the members or elements that are objects with this member."""

    name: str
    value: str | float | bool


Step = NameStep | IndexStep | WildcardStep | FilterStep


@dataclass(frozen=True, slots=True)
class JsonPath:
    """One metric of ADAPTER_SELECT. `name` is the metric's; `text` is the path as it was written."""

    name: str
    text: str
    steps: tuple[Step, ...]


def parse_json_paths(text: str) -> tuple[JsonPath, ...]:
    """Return all paths of the text. Raises ValueError with the column of the first mistake."""
    found: dict[str, JsonPath] = {}
    place = 0
    while place < len(text):
        name = _NAME.match(text, place)
        if not name:
            raise _mistake(text, place, "expected name=$.path")
        begin = place = name.end()
        steps: list[Step] = []
        while step := _STEP.match(text, place):
            steps.append(_step(step))
            place = step.end()
        end = _END.match(text, place)
        if not end:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise _mistake(text, place, "expected .name, [0], [*], ['name'], [?(@.name==\"x\")] or the end of the path")
        if name[1] in found:
            raise _mistake(text, name.start(1), f"expected each name once, but {name[1]} stands twice")
        if name[1] in _RESERVED:
            raise _mistake(text, name.start(1), f"{name[1]} is a metric of the adapter's own: choose another name")
        if len(steps) > _MAX_STEPS:
            raise _mistake(text, begin, f"expected a path of at most {_MAX_STEPS} steps")
        found[name[1]] = JsonPath(name[1], text[begin - 1 : place], tuple(steps))
        place = end.end()
    if not found:
        raise ValueError("expected name=$.path")
    return tuple(found.values())


def format_json_paths(json_paths: Iterable[JsonPath]) -> str:
    """Return the paths as a setting is written."""
    return "; ".join(f"{path.name}={path.text}" for path in json_paths)


def _mistake(text: str, offset: int, expected: str) -> ValueError:
    return ValueError(position_of(text, offset).message(expected))


def _step(found: re.Match[str]) -> Step:
    if found["member"] is not None:
        return NameStep(found["member"])
    if found["index"] is not None:
        return IndexStep(int(found["index"]))
    if found["quoted"] is not None:
        return NameStep(found["quoted"][1:-1])
    if found["key"] is not None:
        return FilterStep(found["key"], _literal(found["equal"]))
    return WildcardStep()


def _literal(raw: str) -> str | float | bool:
    if raw[0] in "'\"":
        return raw[1:-1]
    value: float | bool = json.loads(raw)
    return value
