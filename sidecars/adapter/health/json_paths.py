"""Numbers out of any JSON: `depth=$.queue.depth; ok=$.checks[?(@.name=="db")].ok`. No I/O.

One selection a line, or several separated by `;`. Each is the name of a metric and a path, the part of JSONPath
(RFC 9535) that names places rather than searches for them:

    $                  the whole document
    .name  ['name']    a member
    [2]  [-1]          an element, counted from either end
    .*  [*]            all of them; the metric gets their keys as the label `key`
    [?(@.name=="db")]  those whose member is equal to a string, a number, true or false

A number is taken as it is; true is 1 and false 0; a string is taken when it is a number or a status word: one of a
health dialect ("UP" is 1, "down" is 0), or one of ADAPTER_STATUS_VALUES. A path that leads nowhere gives no sample.
Any other value is unknown (`unknown_values`): a rule that looks at it fails. So is an item of `[*]` or of a filter that
lacks what the last step of the path, right behind, names: of `$.nodes[*].state` each node is to have a state (a node
that is no object has none), whereas `$.parts[*].data.ms` takes the parts that have such a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sidecars.adapter.exposition.unknown_values import UnknownValue
from sidecars.adapter.health.status_words import BUILT_IN, StatusWords, shown
from sidecars.adapter.health.strict_json import NotAHealthDocument, as_float
from sidecars.chassis.config.source_position import position_of
from sidecars.chassis.runtime.printable import truncate

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
_DECIMAL = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN = re.compile(r"\w{1,40}", re.ASCII)
_LONGEST_KEY = 200  # characters of a label's value that the app has chosen
_LONGEST_PATH = 120  # characters of a path that are told
_MOST_STEPS = 50  # of a path
_RESERVED = ("health_http_status_code", "health_select_unknown_values", "adapter_app_up")
_NO_NUMBER = "is neither a number nor a known status word (ADAPTER_STATUS_VALUES gives one its number)"
_MISSING: Any = object()
_END = re.compile(r"[ \t]*(;|\n|$)\s*")


@dataclass(frozen=True, slots=True)
class NameStep:
    name: str


@dataclass(frozen=True, slots=True)
class IndexStep:
    index: int


@dataclass(frozen=True, slots=True)
class WildcardStep:
    pass


@dataclass(frozen=True, slots=True)
class FilterStep:
    """Those elements or members that are objects with this member."""

    name: str
    value: str | float | bool


Step = NameStep | IndexStep | WildcardStep | FilterStep
Trail = tuple[str | int, ...]
"""The places to which the wildcards of a path have led: keys and indexes; "" for a filter."""
Found = tuple[Trail, Any]


@dataclass(frozen=True, slots=True)
class JsonPath:
    """One metric, and where its values are. `text` is the path as it was written."""

    name: str
    text: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SelectedValue:
    """A value that was found; `key` says which of several it is, "" for the only one."""

    name: str
    key: str
    value: float


@dataclass(frozen=True, slots=True)
class Selection:
    """All values of a document, and what was found that is no number."""

    values: tuple[SelectedValue, ...]
    unknown: tuple[UnknownValue, ...]


def parse(text: str) -> tuple[JsonPath, ...]:
    """All selections of the text. Raises ValueError with the column of the first mistake."""
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
        if len(steps) > _MOST_STEPS:
            raise _mistake(text, begin, f"expected a path of at most {_MOST_STEPS} steps")
        found[name[1]] = JsonPath(name[1], text[begin - 1 : place], tuple(steps))
        place = end.end()
    if not found:
        raise ValueError("expected name=$.path")
    return tuple(found.values())


def show(json_paths: Iterable[JsonPath]) -> str:
    return "; ".join(f"{selector.name}={selector.text}" for selector in json_paths)


def _mistake(text: str, offset: int, what: str) -> ValueError:
    return ValueError(position_of(text, offset).message(what))


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


def select(
    json_paths: Iterable[JsonPath], document: Any, words: StatusWords = BUILT_IN, most: int = 1_000_000
) -> Selection:
    """Return every value that is found. Raises NotHealth where there is none, and for more than `most`."""
    values: dict[tuple[str, str], SelectedValue] = {}
    unknown: dict[tuple[str, str], UnknownValue] = {}
    for selector in json_paths:
        for trail, value in _walk(document, selector.steps):
            one = selector.name, _key_of(trail)
            if one in values or one in unknown:
                values.pop(one, None)
                unknown[one] = _several(selector, one[1])
                continue
            number = None if value is _MISSING else _number(value, words)
            if number is None:
                unknown[one] = _unknown(selector, one[1], trail, value)
            else:
                values[one] = SelectedValue(*one, number)
            if len(values) + len(unknown) > most:
                raise NotAHealthDocument(f"has more than {most} values of ADAPTER_SELECT: that is ADAPTER_MAX_SERIES")
    if not values and not unknown:
        raise NotAHealthDocument("answered with JSON that has nothing of what ADAPTER_SELECT names")
    return Selection(tuple(values.values()), tuple(unknown.values()))


def _walk(document: Any, steps: tuple[Step, ...]) -> Iterator[Found]:
    """All values to which the steps lead, from the document's beginning to its end. No recursion: one stage a step."""
    found: Iterator[Found] = iter([((), document)])
    for step in steps[:-1]:
        found = _stage(step, found)
    if not steps:
        return found
    of_each = len(steps) > 1 and isinstance(steps[-2], WildcardStep | FilterStep)
    return _stage(steps[-1], found, of_each=of_each)


def _stage(step: Step, found: Iterator[Found], *, of_each: bool = False) -> Iterator[Found]:
    """Yield what the step leads to. `of_each`: each value is an item of several, and is to have what the step names."""
    for trail, value in found:
        at_all = False
        for place, item in _chosen(step, value):
            at_all = True
            yield trail if place is None else (*trail, place), item
        if (
            of_each
            and not at_all
            and not (isinstance(step, WildcardStep | FilterStep) and isinstance(value, dict | list))
        ):
            yield trail, _MISSING


def _chosen(step: Step, value: Any) -> Iterator[tuple[str | int | None, Any]]:
    """Yield where the step leads from this value, each with its place where it leads to several."""
    match step, value:
        case NameStep(name=name), dict() if name in value:
            yield None, value[name]
        case IndexStep(index=index), list() if -len(value) <= index < len(value):
            yield None, value[index]
        case WildcardStep(), _:
            yield from _items(value)
        case FilterStep(name=name, value=wanted), _:
            for _, item in _items(value):
                if isinstance(item, dict) and _equal(item.get(name), wanted):
                    yield "", item


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _equal(value: Any, wanted: str | float | bool) -> bool:  # noqa: FBT001 - a value of JSON
    """JSON's equality: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _number(value: Any, words: StatusWords) -> float | None:
    """Return the value as a number; None where it is none."""
    if isinstance(value, str):
        known = words.number(value)
        if known is not None:
            return known
        return float(value) if _DECIMAL.fullmatch(value) else None
    return as_float(value) if isinstance(value, bool | int | float) else None


# -- what cannot be used ------------------------------------------------------------------------------------------


def _key_of(trail: Trail) -> str:
    return ".".join(_cut(str(place)) for place in trail if place != "")


def _cut(text: str) -> str:
    """In characters that can be sent, and not longer than a label may be."""
    text = truncate(text, _LONGEST_KEY)
    return text if text.isascii() else text.encode(errors="replace").decode()


def _unknown(selector: JsonPath, key: str, trail: Trail, value: Any) -> UnknownValue:
    why = "leads nowhere for an item" if value is _MISSING else f"has a value that {_NO_NUMBER}"
    tell = partial(_told, selector, trail, value)
    return UnknownValue(selector.name, {"key": key} if key else {}, f"{selector.text} {why}", tell)


def _told(selector: JsonPath, trail: Trail, value: Any) -> str:
    path = _path_of(selector.steps, trail)
    return f"{path} is not there" if value is _MISSING else f"{path} is {shown(value)}, which {_NO_NUMBER}"


def _several(selector: JsonPath, key: str) -> UnknownValue:
    why = f"there are several values for {selector.name}={selector.text}: [*] would tell them apart"
    return UnknownValue(selector.name, {"key": key} if key else {}, why, lambda: why)


def _path_of(steps: tuple[Step, ...], trail: Trail) -> str:
    """Return the path with the places where the wildcards have led: `$.nodes[1].state`; of a long one the end."""
    places = iter(trail)
    parts = ["$"]
    for step in steps:
        match step:
            case NameStep(name=name):
                parts.append(_place(name))
            case IndexStep(index=index):
                parts.append(f"[{index}]")
            case WildcardStep():
                parts.append(_place(next(places, "*")))
            case FilterStep(name=name, value=value):
                next(places, None)
                parts.append(f"[?(@{_place(name)}=={json.dumps(value)})]")
    path = "".join(parts)
    return path if len(path) <= _LONGEST_PATH else f"…{path[-_LONGEST_PATH:]}"


def _place(name: str | int) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{shown(name)}]"
