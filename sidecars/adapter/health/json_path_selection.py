"""The numbers to which the paths of ADAPTER_SELECT lead in a JSON document. No I/O.

    value in the document   selected number
    number, true, false     the number; true is 1 and false is 0
    string with a decimal   that decimal
    status word             1 or 0 as in a health dialect ("UP", "down"), or its number of ADAPTER_STATUS_VALUES
    any other value         unknown (`UnknownValue`): a rule that reads it fails
    no value at the path    no sample

If the path's last step stands directly behind `[*]` or a filter, an item without that member or element is unknown,
too. So in `$.nodes[*].state` each node must have a state (a node that is no object has none). With another step between
them it is only left out: `$.parts[*].data.ms` takes the parts that have such a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sidecars.adapter.exposition.unknown_values import UnknownValue
from sidecars.adapter.health.json_paths import FilterStep, IndexStep, JsonPath, NameStep, Step, WildcardStep
from sidecars.adapter.health.status_words import BUILT_IN, StatusWords, describe_value
from sidecars.adapter.health.strict_json import NotAHealthDocument, as_float
from sidecars.chassis.runtime.printable import truncate

_DECIMAL = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN = re.compile(r"\w{1,40}", re.ASCII)
_MAX_KEY = 200  # characters of a label's value that the app has chosen
_MAX_PATH = 120  # characters of a path in a message
_NO_NUMBER = "is neither a number nor a known status word (ADAPTER_STATUS_VALUES gives one its number)"
_MISSING: Any = object()

Trail = tuple[str | int, ...]
"""The keys and indexes to which the wildcards of a path have led; "" for a filter."""
Found = tuple[Trail, Any]


@dataclass(frozen=True, slots=True)
class SelectedValue:
    """A selected number. `key` tells several numbers of one path apart; "" for the only one."""

    name: str
    key: str
    value: float


@dataclass(frozen=True, slots=True)
class Selection:
    """All numbers selected from a document, and the selected values that are no number."""

    values: tuple[SelectedValue, ...]
    unknown: tuple[UnknownValue, ...]


def select_values(
    json_paths: Iterable[JsonPath], document: Any, status_words: StatusWords = BUILT_IN, max_values: int = 1_000_000
) -> Selection:
    """Select all values of all paths. Raises NotAHealthDocument if there is none, or more than `max_values`."""
    values: dict[tuple[str, str], SelectedValue] = {}
    unknown: dict[tuple[str, str], UnknownValue] = {}
    for path in json_paths:
        for trail, value in _walk(document, path.steps):
            one = path.name, _key_of(trail)
            if one in values or one in unknown:
                values.pop(one, None)
                unknown[one] = _ambiguous(path, one[1])
                continue
            number = None if value is _MISSING else _number(value, status_words)
            if number is None:
                unknown[one] = _unknown(path, one[1], trail, value)
            else:
                values[one] = SelectedValue(*one, number)
            if len(values) + len(unknown) > max_values:
                too_many = f"has more than {max_values} values of ADAPTER_SELECT: the limit is ADAPTER_MAX_SERIES"
                raise NotAHealthDocument(too_many)
    if not values and not unknown:
        raise NotAHealthDocument("answered with JSON without any value of ADAPTER_SELECT")
    return Selection(tuple(values.values()), tuple(unknown.values()))


def _walk(document: Any, steps: tuple[Step, ...]) -> Iterator[Found]:
    """Yield the values to which the steps lead, in the document's order. No recursion: one generator for each step."""
    found: Iterator[Found] = iter([((), document)])
    for step in steps[:-1]:
        found = _follow(step, found)
    if not steps:
        return found
    required = len(steps) > 1 and isinstance(steps[-2], WildcardStep | FilterStep)
    return _follow(steps[-1], found, required=required)


def _follow(step: Step, found: Iterator[Found], *, required: bool = False) -> Iterator[Found]:
    """Follow the step from each value. If it is `required`, yield `_MISSING` for a value from which it leads nowhere.

    From an empty object or array a wildcard or a filter leads nowhere, which is no fault.
    """
    for trail, value in found:
        any_found = False
        for place, item in _matching(step, value):
            any_found = True
            yield trail if place is None else (*trail, place), item
        may_be_empty = isinstance(step, WildcardStep | FilterStep) and isinstance(value, dict | list)
        if required and not any_found and not may_be_empty:
            yield trail, _MISSING


def _matching(step: Step, value: Any) -> Iterator[tuple[str | int | None, Any]]:
    """Yield the items to which the step leads from this value, each with its key if the step can lead to several."""
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
    """True if the values are equal in JSON, where true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _number(value: Any, status_words: StatusWords) -> float | None:
    """Return the value as a number; None if it is neither a number nor a known status word."""
    if isinstance(value, str):
        known = status_words.number(value)
        if known is not None:
            return known
        return float(value) if _DECIMAL.fullmatch(value) else None
    return as_float(value) if isinstance(value, bool | int | float) else None


# -- unknown values -----------------------------------------------------------------------------------------------


def _key_of(trail: Trail) -> str:
    return ".".join(_label_value(str(place)) for place in trail if place != "")


def _label_value(text: str) -> str:
    """Return the text in characters that can be sent, and not longer than a label's value may be."""
    text = truncate(text, _MAX_KEY)
    return text if text.isascii() else text.encode(errors="replace").decode()


def _unknown(path: JsonPath, key: str, trail: Trail, value: Any) -> UnknownValue:
    reason = "leads nowhere for an item" if value is _MISSING else f"has a value that {_NO_NUMBER}"
    make_detail = partial(_detail, path, trail, value)
    return UnknownValue(path.name, {"key": key} if key else {}, f"{path.text} {reason}", make_detail)


def _detail(path: JsonPath, trail: Trail, value: Any) -> str:
    place = _describe_path(path.steps, trail)
    return f"{place} is not there" if value is _MISSING else f"{place} is {describe_value(value)}, which {_NO_NUMBER}"


def _ambiguous(path: JsonPath, key: str) -> UnknownValue:
    reason = f"there are several values for {path.name}={path.text}: [*] would tell them apart"
    return UnknownValue(path.name, {"key": key} if key else {}, reason, lambda: reason)


def _describe_path(steps: tuple[Step, ...], trail: Trail) -> str:
    """Return the path with the keys to which its wildcards led, `$.nodes[1].state`; of a long one only its end."""
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
    return path if len(path) <= _MAX_PATH else f"…{path[-_MAX_PATH:]}"


def _place(name: str | int) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{describe_value(name)}]"
