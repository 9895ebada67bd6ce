"""An app's own health document, in whichever dialect it speaks: read into one form. No I/O.

    health+json    {"status": "pass", "checks": {"db:time": [{"status": "pass", …}]}}   draft-inadarei-06
    spring         {"status": "UP", "components": {"db": {"status": "UP", "details": {…}}}}  nested or not
    microprofile   {"status": "UP", "checks": [{"name": "db", "status": "UP", "data": {…}}]}
    aspnet         {"status": "Healthy", "entries": {"db": {"status": "Healthy", "data": {…}}}}
    consul         [{"CheckID": "db", "Name": "…", "Status": "passing"}], or the same as an object by ID
    dropwizard     {"db": {"healthy": true, "message": "…"}}
    kubernetes     lines: `[+]db ok`, `[-]cache failed: reason withheld`, `readyz check passed`
    word           one word of text: `ok`, `UP`, `unhealthy`

Which of them it is follows from its shape, since most apps label all of it application/json. Where the document and the
status of the HTTP answer contradict each other, the worse of the two counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any, Literal

Condition = Literal["pass", "warn", "fail", "unknown"]
CONDITIONS: tuple[Condition, ...] = ("pass", "warn", "fail", "unknown")

_WORDS: dict[str, Condition] = {
    **dict.fromkeys(("pass", "passing", "ok", "up", "healthy", "alive", "ready", "green", "true"), "pass"),
    **dict.fromkeys(("warn", "warning", "degraded", "yellow"), "warn"),
    **dict.fromkeys(("fail", "failed", "error", "down", "critical", "unhealthy", "red", "false"), "fail"),
    **dict.fromkeys(("out_of_service", "outofservice", "not_ready", "maintenance"), "fail"),
    "unknown": "unknown",
}
_SUCCESS = range(200, 400)
_LINE = re.compile(r"\[([+-])\](\S+)(?: (.*))?")
_DEEPEST = 16  # levels of components and details
_LONGEST = 200  # characters of a name or a reason that the app has chosen
_UP_WORDS = ("pass", "warn")


class NotHealth(Exception):
    """No health document that is known. The message is a phrase that follows the URL in a sentence."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the app that it judges itself. `values` are the numbers it tells beside."""

    name: str
    condition: Condition
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """How an app says it is."""

    condition: Condition
    components: tuple[Component, ...] = ()

    @property
    def up(self) -> bool:
        """What it does not know is not up."""
        return self.condition in _UP_WORDS


def condition_of(word: object) -> Condition | None:
    """What a status word of any dialect means; None where it is no such word."""
    if isinstance(word, bool):
        return "pass" if word else "fail"
    return _WORDS.get(word.strip().lower().replace(" ", "_")) if isinstance(word, str) else None


# -- JSON ---------------------------------------------------------------------------------------------------------


def parse_json(body: bytes) -> Any:
    """The JSON value. Raises NotHealth; the message repeats nothing of the body."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise NotHealth("answered with what is not JSON: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotHealth(f"answered with what is not JSON: line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of brackets
        raise NotHealth("answered with JSON that is out of all bounds") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_json(document: Any, status: int) -> Health:
    """The health document in this JSON; `status` is the HTTP answer's. Raises NotHealth."""
    health = _read_json(document, status)
    return replace(health, condition="fail") if health.up and status not in _SUCCESS else health


def _read_json(document: Any, status: int) -> Health:
    match document:
        case list():
            return _consul(document)
        case {"status": word}:
            return _with_status(word, {key: item for key, item in document.items() if key != "status"})
        case dict() if document and all(isinstance(item, dict) for item in document.values()):
            if all(isinstance(item.get("healthy"), bool) for item in document.values()):
                return _whole(map(_dropwizard, document.items()))
            if all("Status" in item for item in document.values()):
                return _consul(list(document.values()))
        case dict() if not document and status == _NOT_IMPLEMENTED:  # Dropwizard without any health check
            raise NotHealth("answered 501: it has no health checks")
    raise NotHealth("answered with JSON of no health dialect that is known: name what counts in it by ADAPTER_SELECT")


_NOT_IMPLEMENTED = 501


def _with_status(word: object, rest: dict[str, Any]) -> Health:
    condition = condition_of(word)
    if condition is None:
        raise NotHealth("answered with a status that is not known: name what counts in it by ADAPTER_SELECT")
    match rest:
        case {"checks": list(checks)}:
            return Health(condition, _named(_microprofile(item) for item in checks if isinstance(item, dict)))
        case {"checks": dict(checks)}:
            return Health(condition, _named(_health_json(checks)))
        case {"entries": dict(entries)}:
            return Health(condition, _named(_aspnet(name, item) for name, item in entries.items()))
        case {"components": dict(components)} | {"details": dict(components)}:
            return Health(condition, _named(_spring(components, "", _DEEPEST)))
    return Health(condition, _named(_spring(rest, "", _DEEPEST)))  # Spring Boot 1: the components stand beside


def _microprofile(item: dict[str, Any]) -> Component:
    return _component(item.get("name"), item.get("status"), item, item.get("data"))


def _health_json(checks: dict[str, Any]) -> Iterator[Component]:
    """Every key has a list of measurements; an object in its place is taken for a list of one."""
    for key, entries in checks.items():
        many = entries if isinstance(entries, list) else [entries]
        for entry in many:
            if isinstance(entry, dict):
                part = entry.get("componentId") if len(many) > 1 else None
                name = f"{key}/{part}" if isinstance(part, str) and part else key
                numbers = {"observedValue": entry.get("observedValue")}
                # A check without a status of its own is as good as what the whole says of it: nothing.
                yield _component(name, entry.get("status", "pass"), entry, numbers)


def _aspnet(name: str, item: Any) -> Component:
    found = item if isinstance(item, dict) else {}
    return _component(name, found.get("status"), found, found.get("data"))


def _spring(components: dict[str, Any], before: str, deepest: int) -> Iterator[Component]:
    """Components may have components. What has no status is no component but a detail."""
    for name, item in components.items():
        if not isinstance(item, dict) or "status" not in item:
            continue
        inner = item.get("components")
        beside = {key: value for key, value in item.items() if key not in ("status", "components")}
        details = item.get("details", beside)
        yield _component(f"{before}{name}", item["status"], details if isinstance(details, dict) else {}, details)
        if isinstance(inner, dict) and deepest:
            yield from _spring(inner, f"{before}{name}/", deepest - 1)


def _dropwizard(entry: tuple[str, dict[str, Any]]) -> Component:
    name, item = entry
    return _component(name, item["healthy"], item, {"duration": item.get("duration")})


def _consul(items: list[Any]) -> Health:
    """Checks as Consul's API lists them (/v1/agent/checks, /v1/health/checks/…), or as an app copies them."""
    if not items or not all(isinstance(item, dict) and condition_of(item.get("Status")) for item in items):
        raise NotHealth("answered with a list that is no list of Consul's checks")
    return _whole(_component(item.get("CheckID") or item.get("Name"), item["Status"], item, None) for item in items)


def _whole(parts: Iterator[Component]) -> Health:
    """A document without a word about the whole: it is as bad as its worst part."""
    components = _named(parts)
    conditions = {component.condition for component in components}
    order: tuple[Condition, ...] = ("fail", "unknown", "warn", "pass")
    return Health(next((bad for bad in order if bad in conditions), "pass"), components)


def _component(name: object, word: object, texts: dict[str, Any], numbers: object) -> Component:
    reason = next((texts[key] for key in _REASONS if isinstance(texts.get(key), str)), "")
    values = dict(_flat(numbers, "", _DEEPEST)) if isinstance(numbers, dict) else {}
    return Component(_clean(str(name)), condition_of(word) or "unknown", _clean(reason), values)


_REASONS = ("output", "Output", "message", "description", "error", "reason")


def _flat(value: Any, path: str, deepest: int) -> Iterator[tuple[str, float]]:
    """The numbers and booleans in a value, each with its place: `disk.free`."""
    if isinstance(value, bool | int | float):
        try:
            yield _clean(path), float(value)
        except OverflowError:
            return
    elif isinstance(value, dict) and deepest:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key, deepest - 1)


def _clean(text: str) -> str:
    """On one line, in characters that can be sent, and not longer than people read."""
    line = " ".join(text.split()).encode(errors="replace").decode()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _named(parts: Iterator[Component]) -> tuple[Component, ...]:
    """The components, each with a name of its own: the second `db` is `db#2`."""
    kept: dict[str, Component] = {}
    for part in parts:
        names = chain([part.name], (f"{part.name}#{number}" for number in count(2)))
        name = next(name for name in names if name not in kept)
        kept[name] = replace(part, name=name)
    return tuple(kept.values())


# -- text ---------------------------------------------------------------------------------------------------------


def read_text(text: str, status: int) -> Health | None:
    """The health document in these lines; None where they are none (metrics, say)."""
    lines = text.strip().splitlines()
    if len(lines) == 1 and "[" not in lines[0]:
        word = condition_of(lines[0].rstrip(".!"))
        known = Health(word) if word else None
        return Health("fail") if known and known.up and status not in _SUCCESS else known
    found = [_LINE.fullmatch(line.rstrip()) for line in lines]
    if not any(found):
        return None
    components = _named(
        Component(_clean(match[2]), "pass" if match[1] == "+" else "fail", _clean(match[3] or ""))
        for match in found
        if match
    )
    bad = any(component.condition == "fail" for component in components) or status not in _SUCCESS
    return Health("fail" if bad else "pass", components)
