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
status of the HTTP answer contradict each other, the worse of the two counts. A part that is not understood is unknown,
with its reason, and the parts that are understood are kept. An object with a `status` is a part wherever it stands.
The two dialects of text are in `kubernetes_lines`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from sidecars.adapter.health.status_words import BUILT_IN, CONDITIONS, UP, Condition, StatusWords, condition_of, shown
from sidecars.adapter.health.strict_json import NotAHealthDocument, as_float
from sidecars.chassis.runtime.printable import truncate

__all__ = ["CONDITIONS", "Component", "Condition", "Health", "NotAHealthDocument", "condition_of", "read_json"]

SUCCESS: Container[int] = range(200, 400)
_NOT_IMPLEMENTED = 501
_DEEPEST = 16  # levels of components and details
_LONGEST = 200  # characters of a name or a reason that the app has chosen
_CONTAINERS = ("checks", "entries", "components", "details")
_COMPOUND = (dict, list)
_TOO_DEEP = "too deep in the document"  # as the status of what is not looked at
_SERIES = 6  # of a component when it is translated, besides its values
_NO_DIALECT = "answered with JSON of no health dialect that is known: name what counts in it by ADAPTER_SELECT"


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the app that it judges itself.

    values   the numbers it tells beside
    number   what its status word is worth (`StatusWords.number`); None for a word that is not known
    """

    name: str
    condition: Condition
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How an app says it is.

    number    what its status word is worth; None for a word that is not known, or no word
    problem   why it is worse than it says, or unknown, in our words; "" where it is as it says
    words     the same with what the app has sent: for the prober, never for a log
    """

    condition: Condition
    components: tuple[Component, ...] = ()
    number: float | None = None
    problem: str = ""
    words: str = ""

    @property
    def up(self) -> bool:
        """True if the app passes or warns. What it does not know is not up."""
        return self.condition in UP


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """How documents are to be read.

    words   what status words mean
    valid   the HTTP statuses that are no failure by themselves
    most    how many series a document may become when it is translated
    """

    words: StatusWords = BUILT_IN
    valid: Container[int] = SUCCESS
    most: int = 1_000_000

    def with_status(self, health: Health, status: int) -> Health:
        """Return the health document as the HTTP answer's status leaves it: the worse of the two counts."""
        if not health.up or status in self.valid:
            return health
        problem = f"the app says {health.condition}, but answered with the status {status}"
        return replace(health, condition="fail", problem=problem)


PLAIN = DocumentOptions()


# -- JSON ---------------------------------------------------------------------------------------------------------


def read_json(document: Any, status: int, options: DocumentOptions = PLAIN) -> Health:
    """Return the health document in this JSON; `status` is the HTTP answer's. Raises NotHealth."""
    return options.with_status(_Reader(options).read(document, status), status)


class _Reader:
    """Reads the dialects of JSON."""

    def __init__(self, options: DocumentOptions) -> None:
        self._words = options.words
        self._most = options.most
        self._looked_at = 0  # objects and arrays in which parts were searched

    def read(self, document: Any, status: int) -> Health:
        match document:
            case list():
                return self._consul(document)
            case {"status": word}:
                return self._with_status(word, {key: item for key, item in document.items() if key != "status"})
            case dict() if _any_has(document.values(), "healthy"):
                return self._whole(self._dropwizard(name, item) for name, item in document.items())
            case dict() if _any_has(document.values(), "Status"):
                return self._consul(list(document.values()))
            case dict() if not document and status == _NOT_IMPLEMENTED:  # Dropwizard without any health check
                raise NotAHealthDocument("answered 501: it has no health checks")
        raise NotAHealthDocument(_NO_DIALECT)

    def _with_status(self, word: object, rest: dict[str, Any]) -> Health:
        parts = named(self._parts(rest), self._most)
        condition, number = self._words.meaning(word)
        if condition:
            return Health(condition, parts, number)
        if not parts and not isinstance(word, str):  # an error page such as {"status": 404, "path": …}
            raise NotAHealthDocument(_NO_DIALECT)
        hint = "not known: ADAPTER_STATUS_VALUES gives a word its number"
        return Health("unknown", parts, None, f"its status is {hint}", f"its status is {shown(word)}, which is {hint}")

    def _parts(self, rest: dict[str, Any]) -> Iterator[Component]:
        """Yield the parts of all members that a dialect has for them; where these have none, those found anywhere."""
        parts = (part for key, item in rest.items() if key in _CONTAINERS for part in self._contained(key, item))
        first = next(parts, None)
        # Spring Boot 1 has its components beside the status, and apps have `services`, `results` and the like.
        return self._nested(rest, "", _DEEPEST) if first is None else chain((first,), parts)

    def _contained(self, key: str, item: Any) -> Iterator[Component]:
        """Yield the parts in a member of this name. What is not of the dialect's form is a part that is not known."""
        if item is None:  # some serializers write an empty collection so
            return
        if key == "details":
            yield from self._nested(item, "", _DEEPEST)
        elif isinstance(item, list):
            for each in item:
                yield from self._listed(each)
        elif not isinstance(item, dict):
            yield self._component(key, item, {}, None)
        elif key == "components":
            yield from self._spring(item, "", _DEEPEST)
        elif key == "checks":
            yield from self._health_json(item)
        else:
            yield from (self._aspnet(name, each) for name, each in item.items())

    def _listed(self, item: Any) -> Iterator[Component]:
        part = self._microprofile(item)
        yield part
        yield from self._nested(item, f"{part.name}/", _DEEPEST)

    def _microprofile(self, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component("", None, {}, None)
        return self._component(item.get("name"), item.get("status"), item, item.get("data"))

    def _health_json(self, checks: dict[str, Any]) -> Iterator[Component]:
        """Every key has a list of measurements; what stands in its place is taken for a list of one."""
        for key, entries in checks.items():
            many = entries if isinstance(entries, list) else [entries]
            for entry in many:
                if not isinstance(entry, dict):  # a status without anything beside it
                    yield self._component(key, entry, {}, None)
                    continue
                part = entry.get("componentId") if len(many) > 1 else None
                name = f"{_cut(key)}/{_cut(part)}" if isinstance(part, str) and part else key
                numbers = {"observedValue": entry.get("observedValue")}
                # A check without a status of its own is as good as what the whole says of it: nothing.
                yield self._component(name, entry.get("status", "pass"), entry, numbers)

    def _aspnet(self, name: str, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component(name, item, {}, None)
        return self._component(name, item.get("status"), item, item.get("data"))

    def _spring(self, components: dict[str, Any], before: str, deepest: int) -> Iterator[Component]:
        """Yield the components and theirs; each is to have a status."""
        for name, item in components.items():
            if isinstance(item, dict):
                yield from self._tree(f"{before}{_cut(name)}", item, deepest)
            else:
                yield self._component(f"{before}{_cut(name)}", item, {}, None)

    def _tree(self, label: str, item: dict[str, Any], deepest: int) -> Iterator[Component]:
        """Yield a component, and those in it: beside (Spring Boot 1), in details (2.0), in components."""
        beside = {key: value for key, value in item.items() if key not in ("status", "components")}
        details = item.get("details", beside)
        yield self._component(label, item.get("status"), details if isinstance(details, dict) else {}, details)
        yield from self._nested(item, f"{label}/", deepest)

    def _nested(self, value: Any, before: str, deepest: int) -> Iterator[Component]:
        """Yield what has a status in this value: an object that says it is ill must not be lost in details."""
        for name, item in _inside(value):
            self._looked_at += 1
            if self._looked_at > self._most:
                raise NotAHealthDocument(f"has more than {self._most} objects and arrays: that is ADAPTER_MAX_SERIES")
            label = f"{before}{_cut(name)}"
            if not deepest:
                yield self._component(label, _TOO_DEEP, {}, None)
            elif name == "components" and isinstance(item, dict):
                yield from self._spring(item, before, deepest - 1)
            elif isinstance(item, dict) and "status" in item and name != "details":
                yield from self._tree(label, item, deepest - 1)
            else:
                yield from self._nested(item, before if name in _CONTAINERS else f"{label}/", deepest - 1)

    def _dropwizard(self, name: str, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component(name, item, {}, None)
        return self._component(name, item.get("healthy"), item, {"duration": item.get("duration")})

    def _consul(self, items: list[Any]) -> Health:
        """Checks as Consul's API lists them (/v1/agent/checks, /v1/health/checks/…), or as an app copies them."""
        if not _any_has(items, "Status"):
            raise NotAHealthDocument("answered with a list that is no list of Consul's checks")
        found = (item if isinstance(item, dict) else {} for item in items)
        return self._whole(
            self._component(item.get("CheckID") or item.get("Name"), item.get("Status"), item, None) for item in found
        )

    def _whole(self, parts: Iterator[Component]) -> Health:
        """Return a document without a word about the whole: it is as bad as its worst part."""
        components = named(parts, self._most)
        conditions = {component.condition for component in components}
        order: tuple[Condition, ...] = ("fail", "unknown", "warn", "pass")
        return Health(next((bad for bad in order if bad in conditions), "pass"), components)

    def _component(self, name: object, word: object, texts: dict[str, Any], numbers: object) -> Component:
        reason = next((texts[key] for key in _REASONS if isinstance(texts.get(key), str)), "")
        condition, number = self._words.meaning(word)
        if condition is None:
            reason = f"its status is {shown(word)}, which is not known{': ' if reason else ''}{reason[:_LONGEST]}"
        values = dict(_flat(numbers, "", _DEEPEST)) if isinstance(numbers, dict) else {}
        label = clean(str(name)) if isinstance(name, str | int | float) else ""
        return Component(label or "unnamed", condition or "unknown", clean(reason), values, number)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects and arrays in this value that have a content, by their keys, or by their names or places."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, _COMPOUND) and item:
                yield key, item
    elif isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, _COMPOUND) and item:
                yield _name_in(item, place), item


def _name_in(item: Any, place: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name else str(place)


def _any_has(items: Iterable[Any], key: str) -> bool:
    """True if one of the items is an object with this member: then all of them are taken for checks."""
    return any(isinstance(item, dict) and key in item for item in items)


_REASONS = ("output", "Output", "message", "description", "error", "reason")


def _flat(value: Any, path: str, deepest: int) -> Iterator[tuple[str, float]]:
    """Yield the numbers and booleans in a value, each with its place: `disk.free`."""
    if isinstance(value, bool | int | float):
        yield clean(path), as_float(value)
    elif isinstance(value, dict) and deepest:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{_cut(key)}" if path else _cut(key), deepest - 1)


def _cut(text: str) -> str:
    """Return at most so much of a name, so that joining names stays cheap."""
    return text[: _LONGEST + 1]


def clean(text: str) -> str:
    """Return the text on one line, in characters that can be sent, and not longer than people read."""
    line = " ".join(text.split())
    line = line if line.isascii() else line.encode(errors="replace").decode()
    return truncate(line, _LONGEST)


def named(parts: Iterable[Component], most: int) -> tuple[Component, ...]:
    """Return the components, each with a name of its own: the second `db` is `db#2`. In one pass.

    Raises NotHealth as soon as they would become more than `most` series.
    """
    kept: dict[str, Component] = {}
    numbers: dict[str, int] = {}
    series = 0
    for part in parts:
        series += _SERIES + len(part.values)
        if series > most:
            raise NotAHealthDocument(
                f"has more components than {most} series have room for: that is ADAPTER_MAX_SERIES"
            )
        name = part.name
        if name in kept:
            number = numbers.get(name, 2)
            while (name := f"{part.name}#{number}") in kept:
                number += 1
            numbers[part.name] = number + 1
            part = Component(name, part.condition, part.reason, part.values, part.number)  # noqa: PLW2901 - renamed
        kept[name] = part
    return tuple(kept.values())
