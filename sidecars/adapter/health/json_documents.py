"""Health documents in JSON, in any of six dialects. No I/O.

    health+json    {"status": "pass", "checks": {"db:time": [{"status": "pass", …}]}}   draft-inadarei-06
    spring         {"status": "UP", "components": {"db": {"status": "UP", "details": {…}}}}  nested or not
    microprofile   {"status": "UP", "checks": [{"name": "db", "status": "UP", "data": {…}}]}
    aspnet         {"status": "Healthy", "entries": {"db": {"status": "Healthy", "data": {…}}}}
    consul         [{"CheckID": "db", "Name": "…", "Status": "passing"}], or the same as an object by ID
    dropwizard     {"db": {"healthy": true, "message": "…"}}

The dialect follows from the form of the document, since most apps label all of it application/json. A part that is
not understood is `unknown`, with its reason; the parts that are understood are kept. An object with a `status` is a
component wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sidecars.adapter.health.documents import (
    DEFAULT_OPTIONS,
    MAX_TEXT,
    Component,
    DocumentOptions,
    HealthDocument,
    clean_text,
    with_unique_names,
)
from sidecars.adapter.health.status_words import HealthStatus, describe_value
from sidecars.adapter.health.strict_json import NotAHealthDocument, as_float

_MAX_DEPTH = 16  # levels of components and details
_CONTAINERS = ("checks", "entries", "components", "details")
_COMPOUND = (dict, list)
_REASONS = ("output", "Output", "message", "description", "error", "reason")  # members that hold a component's reason
_TOO_DEEP = "too deep in the document"  # the status of a part that is nested too deep to be read
_NO_DIALECT = "answered with JSON of no known health dialect: select numbers from it by ADAPTER_SELECT"


def read_json(document: Any, http_status: int, options: DocumentOptions = DEFAULT_OPTIONS) -> HealthDocument:
    """Return the health document in this JSON value. Raises NotAHealthDocument."""
    return options.with_http_status(_Reader(options).read(document, http_status), http_status)


class _Reader:
    """Reads one document in any of the dialects."""

    def __init__(self, options: DocumentOptions) -> None:
        self._words = options.status_words
        self._max_series = options.max_series
        self._searched = 0  # objects and arrays that were searched for components

    def read(self, document: Any, http_status: int) -> HealthDocument:
        match document:
            case list():
                return self._consul(document)
            case {"status": word}:
                return self._with_status(word, {key: item for key, item in document.items() if key != "status"})
            case dict() if _any_has(document.values(), "healthy"):
                return self._without_status(self._dropwizard(name, item) for name, item in document.items())
            case dict() if _any_has(document.values(), "Status"):
                return self._consul(list(document.values()))
            case dict() if not document and http_status == 501:  # Dropwizard without any health check
                raise NotAHealthDocument("answered 501: it has no health checks")
        raise NotAHealthDocument(_NO_DIALECT)

    def _with_status(self, word: object, rest: dict[str, Any]) -> HealthDocument:
        """Return a document that has a status for the whole."""
        components = with_unique_names(self._components(rest), self._max_series)
        status, number = self._words.meaning(word)
        if status:
            return HealthDocument(status, components, number)
        if not components and not isinstance(word, str):  # an error page such as {"status": 404, "path": …}
            raise NotAHealthDocument(_NO_DIALECT)
        hint = "not known: ADAPTER_STATUS_VALUES gives a word its number"
        detail = f"its status is {describe_value(word)}, which is {hint}"
        return HealthDocument("unknown", components, None, f"its status is {hint}", detail)

    def _without_status(self, found: Iterator[Component]) -> HealthDocument:
        """Return a document without a status for the whole: it is as bad as its worst component."""
        components = with_unique_names(found, self._max_series)
        statuses = {component.status for component in components}
        worst_first: tuple[HealthStatus, ...] = ("fail", "unknown", "warn", "pass")
        return HealthDocument(next((status for status in worst_first if status in statuses), "pass"), components)

    def _components(self, rest: dict[str, Any]) -> Iterator[Component]:
        """Yield the components in the members that the dialects have for them, or, without any, those found anywhere.

        Spring Boot 1 has its components beside the status, and apps have `services`, `results` and the like.
        """
        components = (
            component for key, item in rest.items() if key in _CONTAINERS for component in self._in_container(key, item)
        )
        first = next(components, None)
        return self._nested(rest, "", _MAX_DEPTH) if first is None else chain((first,), components)

    def _in_container(self, key: str, item: Any) -> Iterator[Component]:
        """Yield the components in the member `key`. An item that has not the dialect's form is an unknown component."""
        if item is None:  # the form in which some serializers write an empty collection
            return
        if key == "details":
            yield from self._nested(item, "", _MAX_DEPTH)
        elif isinstance(item, list):
            for each in item:
                yield from self._listed(each)
        elif not isinstance(item, dict):
            yield self._component(key, item, {}, None)
        elif key == "components":
            yield from self._spring(item, "", _MAX_DEPTH)
        elif key == "checks":
            yield from self._health_json(item)
        else:
            yield from (self._aspnet(name, each) for name, each in item.items())

    def _listed(self, item: Any) -> Iterator[Component]:
        component = self._microprofile(item)
        yield component
        yield from self._nested(item, f"{component.name}/", _MAX_DEPTH)

    def _microprofile(self, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component("", None, {}, None)
        return self._component(item.get("name"), item.get("status"), item, item.get("data"))

    def _health_json(self, checks: dict[str, Any]) -> Iterator[Component]:
        """Yield the components. Every key has a list of measurements; a single value is read as a list of one."""
        for key, entries in checks.items():
            many = entries if isinstance(entries, list) else [entries]
            for entry in many:
                if not isinstance(entry, dict):  # a status without anything beside it
                    yield self._component(key, entry, {}, None)
                    continue
                component_id = entry.get("componentId") if len(many) > 1 else None
                name = f"{_cut(key)}/{_cut(component_id)}" if isinstance(component_id, str) and component_id else key
                numbers = {"observedValue": entry.get("observedValue")}
                # A check without a status of its own passes: the draft makes `status` optional.
                yield self._component(name, entry.get("status", "pass"), entry, numbers)

    def _aspnet(self, name: str, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component(name, item, {}, None)
        return self._component(name, item.get("status"), item, item.get("data"))

    def _spring(self, components: dict[str, Any], prefix: str, levels: int) -> Iterator[Component]:
        """Yield the components and those inside them. Each must have a status."""
        for name, item in components.items():
            if isinstance(item, dict):
                yield from self._tree(f"{prefix}{_cut(name)}", item, levels)
            else:
                yield self._component(f"{prefix}{_cut(name)}", item, {}, None)

    def _tree(self, label: str, item: dict[str, Any], levels: int) -> Iterator[Component]:
        """Yield a component and those inside it.

        They stand beside its status (Spring Boot 1), in `details` (2.0) or in `components`.
        """
        beside = {key: value for key, value in item.items() if key not in ("status", "components")}
        details = item.get("details", beside)
        yield self._component(label, item.get("status"), details if isinstance(details, dict) else {}, details)
        yield from self._nested(item, f"{label}/", levels)

    def _nested(self, value: Any, prefix: str, levels: int) -> Iterator[Component]:
        """Yield each object with a status in this value: a failing part must not be lost in details.

        `levels` is the number of levels that may still be searched. Raises NotAHealthDocument after `max_series`
        objects and arrays.
        """
        for name, item in _compound_items(value):
            self._searched += 1
            if self._searched > self._max_series:
                too_many = f"has more than {self._max_series} objects and arrays: the limit is ADAPTER_MAX_SERIES"
                raise NotAHealthDocument(too_many)
            label = f"{prefix}{_cut(name)}"
            if not levels:
                yield self._component(label, _TOO_DEEP, {}, None)
            elif name == "components" and isinstance(item, dict):
                yield from self._spring(item, prefix, levels - 1)
            elif isinstance(item, dict) and "status" in item and name != "details":
                yield from self._tree(label, item, levels - 1)
            else:
                yield from self._nested(item, prefix if name in _CONTAINERS else f"{label}/", levels - 1)

    def _dropwizard(self, name: str, item: Any) -> Component:
        if not isinstance(item, dict):
            return self._component(name, item, {}, None)
        return self._component(name, item.get("healthy"), item, {"duration": item.get("duration")})

    def _consul(self, items: list[Any]) -> HealthDocument:
        """Read checks as Consul's API lists them (/v1/agent/checks, /v1/health/checks/…), or as an app copies them."""
        if not _any_has(items, "Status"):
            raise NotAHealthDocument("answered with a list that is no list of Consul's checks")
        found = (item if isinstance(item, dict) else {} for item in items)
        return self._without_status(
            self._component(item.get("CheckID") or item.get("Name"), item.get("Status"), item, None) for item in found
        )

    def _component(self, name: object, word: object, texts: dict[str, Any], numbers: object) -> Component:
        """Return a component. `word` is its status, `texts` may hold its reason, and `numbers` its values."""
        reason = next((texts[key] for key in _REASONS if isinstance(texts.get(key), str)), "")
        status, number = self._words.meaning(word)
        if status is None:
            colon = ": " if reason else ""
            reason = f"its status is {describe_value(word)}, which is not known{colon}{reason[:MAX_TEXT]}"
        values = dict(_flat(numbers, "", _MAX_DEPTH)) if isinstance(numbers, dict) else {}
        label = clean_text(str(name)) if isinstance(name, str | int | float) else ""
        return Component(label or "unnamed", status or "unknown", clean_text(reason), values, number)


def _compound_items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects and arrays in this value that are not empty, each with its key, or with its name or index."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, _COMPOUND) and item:
                yield key, item
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, _COMPOUND) and item:
                yield _name_of(item, index), item


def _name_of(item: Any, index: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name else str(index)


def _any_has(items: Iterable[Any], key: str) -> bool:
    """True if one of the items is an object with this member: then all of them are read as checks."""
    return any(isinstance(item, dict) and key in item for item in items)


def _flat(value: Any, path: str, levels: int) -> Iterator[tuple[str, float]]:
    """Yield the numbers and booleans in a value, each with its path: `disk.free`."""
    if isinstance(value, bool | int | float):
        yield clean_text(path), as_float(value)
    elif isinstance(value, dict) and levels:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{_cut(key)}" if path else _cut(key), levels - 1)


def _cut(text: str) -> str:
    """Return the beginning of a name. It is one character longer than the limit, so that `clean_text` sees the cut.

    Joining long names level by level would cost quadratic time.
    """
    return text[: MAX_TEXT + 1]
