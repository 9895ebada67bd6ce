"""Numbers out of any JSON: `depth=$.queue.depth; ok=$.checks[?(@.name=="db")].ok`. No I/O.

One selection a line, or several separated by `;`. Each is the name of a metric and a path, the part of JSONPath
(RFC 9535) that names places rather than searches for them:

    $                  the whole document
    .name  ['name']    a member
    [2]  [-1]          an element, counted from either end
    .*  [*]            all of them; the metric gets their keys as the label `key`
    [?(@.name=="db")]  those whose member is equal to a string, a number, true or false

A number is taken as it is; true is 1 and false 0; a string is taken when it is a number or a status word of one of the
health dialects ("UP" is 1, "down" is 0). Whatever else is there, or nothing, gives no sample.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sidecars.adapter.healthdoc import NotHealth, condition_of

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*=\s*\$")
_STEP = re.compile(
    r"""\.(?P<member>[^\s.\[\];*'"]+)
      | \[(?P<index>-?\d{1,9})\]
      | (?P<all>\.\*|\[\*\])
      | \[(?P<quoted>'[^'\n]*'|"[^"\n]*")\]
      | \[\?\s*\(?\s*@\.(?P<key>[^\s.\[\]=;'"]+)\s*==\s*
        (?P<equal>'[^'\n]*'|"[^"\n]*"|-?\d+(?:\.\d+)?|true|false)\s*\)?\s*\]
    """,
    re.VERBOSE,
)
_DECIMAL = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_END = re.compile(r"[ \t]*(;|\n|$)\s*")


@dataclass(frozen=True, slots=True)
class Member:
    name: str


@dataclass(frozen=True, slots=True)
class Element:
    index: int


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class Where:
    """Those elements or members that are objects with this member."""

    name: str
    value: str | float | bool


Step = Member | Element | All | Where


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric, and where its values are. `text` is the path as it was written."""

    name: str
    text: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """A value that was found; `key` says which of several it is, "" for the only one."""

    name: str
    key: str
    value: float


def parse(text: str) -> tuple[Selector, ...]:
    """All selections of the text. Raises ValueError with the column of the first mistake."""
    found: dict[str, Selector] = {}
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
        found[name[1]] = Selector(name[1], text[begin - 1 : place], tuple(steps))
        place = end.end()
    if not found:
        raise ValueError("expected name=$.path")
    return tuple(found.values())


def show(selectors: Iterable[Selector]) -> str:
    return "; ".join(f"{selector.name}={selector.text}" for selector in selectors)


def _mistake(text: str, place: int, what: str) -> ValueError:
    line = text.count("\n", 0, place)
    column = place - (text.rfind("\n", 0, place) + 1)
    source = text.split("\n")[line]
    return ValueError(f"line {line + 1}, column {column + 1}: {what}\n  {source}\n  {' ' * column}^")


def _step(found: re.Match[str]) -> Step:
    if found["member"] is not None:
        return Member(found["member"])
    if found["index"] is not None:
        return Element(int(found["index"]))
    if found["quoted"] is not None:
        return Member(found["quoted"][1:-1])
    if found["key"] is not None:
        return Where(found["key"], _literal(found["equal"]))
    return All()


def _literal(raw: str) -> str | float | bool:
    if raw[0] in "'\"":
        return raw[1:-1]
    value: float | bool = json.loads(raw)
    return value


def select(selectors: Iterable[Selector], document: Any) -> list[Selected]:
    """Every value that is found. Raises NotHealth where there is none, or several of one name and key."""
    found: dict[tuple[str, str], Selected] = {}
    for selector in selectors:
        for keys, value in _walk(document, selector.steps, ()):
            number = _number(value)
            if number is None:
                continue
            one = Selected(selector.name, ".".join(keys), number)
            if (one.name, one.key) in found:
                raise NotHealth(f"has several values for {selector.name}={selector.text}: [*] would tell them apart")
            found[one.name, one.key] = one
    if not found:
        raise NotHealth("answered with JSON that has nothing of what ADAPTER_SELECT names")
    return list(found.values())


def _walk(value: Any, steps: tuple[Step, ...], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not steps:
        yield keys, value
        return
    for key, item in _chosen(steps[0], value):
        yield from _walk(item, steps[1:], (*keys, key) if key else keys)


def _chosen(step: Step, value: Any) -> Iterator[tuple[str, Any]]:
    """Where the step leads from this value, each with its key where it leads to several."""
    match step, value:
        case Member(name=name), dict() if name in value:
            yield "", value[name]
        case Element(index=index), list() if -len(value) <= index < len(value):
            yield "", value[index]
        case All(), _:
            yield from _items(value)
        case Where(name=name, value=wanted), _:
            found = (item for _, item in _items(value) if isinstance(item, dict) and _equal(item.get(name), wanted))
            yield from (("", item) for item in found)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(value))


def _equal(value: Any, wanted: str | float | bool) -> bool:  # noqa: FBT001 - a value of JSON
    """JSON's equality: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        condition = condition_of(value)
        if condition:
            return float(condition in ("pass", "warn"))
        return float(value) if _DECIMAL.fullmatch(value) else None
    try:
        return float(value) if isinstance(value, bool | int | float) else None
    except OverflowError:
        return None
