"""Metrics from what an app says of its health: a page of Prometheus text with stable names. No I/O.

    health_up                        1 when the app says pass or warn, 0 when not
    health_status{status}            1 for the one that it says: pass, warn, fail or unknown
    health_check_up{check}           as above, of a component
    health_check_status{check,status}
    health_check_value{check,name}   a number that the component tells beside
    health_status_value              the number of its status word, where ADAPTER_STATUS_VALUES is set
    health_check_status_value{check} of a component's
    health_select_unknown_values{name}  of ADAPTER_SELECT: the values that are no number, and so are not on the page
    health_http_status_code          of the answer
    adapter_app_up{app}              of several apps on one page: 1 when its answer could be used

The names do not depend on the dialect, so that an app may change its framework and the dashboards stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sidecars.adapter.health.documents import Component, Health
from sidecars.adapter.health.json_paths import SelectedValue
from sidecars.adapter.health.status_words import CONDITIONS, UP

_EXACT = 2.0**53
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def page_of_health(health: Health, status: int, *, numbers: bool = False) -> bytes:
    """Return the document as a page. `status` is that of the HTTP answer; `numbers` adds those of status words."""
    return _page(_health_lines(health, status, numbers=numbers))


def page_of_selected(found: Iterable[SelectedValue], status: int, unknown: Mapping[str, int]) -> bytes:
    """Return what was selected, each a gauge of its own name. `unknown` counts the values that are no number."""
    return _page(_selected_lines(found, status, unknown))


def page_of_up(apps: Mapping[str, bool]) -> bytes:
    """Which of several apps gave an answer that could be used."""
    about = "1 when the app gave an answer that could be used."
    return _page(_family("adapter_app_up", about, (({"app": app}, int(up)) for app, up in apps.items())))


def _page(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")  # JSON may have half a character


Labelled = Iterable[tuple[dict[str, str], float]]


def _family(name: str, about: str, samples: Labelled) -> Iterator[str]:
    """A gauge; nothing at all where it has no sample."""
    begun = False
    for labels, value in samples:
        if not begun:
            begun = True
            yield from _head(name, about)
        pairs = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
        yield f"{name}{{{pairs}}} {_written(value)}" if pairs else f"{name} {_written(value)}"


def _head(name: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} gauge"


def _written(value: float) -> str:
    """Whole numbers without a point, as long as each has a float of its own. (JSON's 1e999 is infinite.)"""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(value)


def _http_status(status: int) -> Iterator[str]:
    return _family("health_http_status_code", "Of the app's answer.", [({}, status)])


def _health_lines(health: Health, status: int, *, numbers: bool) -> Iterator[str]:
    parts = health.components
    yield from _family("health_up", "1 when the app says pass or warn.", [({}, int(health.up))])
    yield from _family(
        "health_status",
        "1 for what the app says of itself.",
        (({"status": each}, int(each == health.condition)) for each in CONDITIONS),
    )
    yield from _component_lines(parts)
    yield from _family(
        "health_check_value",
        "A number that is told of the component.",
        (({"check": part.name, "name": name}, value) for part in parts for name, value in part.values.items()),
    )
    if numbers:
        whole: Labelled = [] if health.number is None else [({}, health.number)]
        yield from _family("health_status_value", "The number of the app's status word.", whole)
        told = (({"check": part.name}, part.number) for part in parts if part.number is not None)
        yield from _family("health_check_status_value", "The number of the component's status word.", told)
    yield from _http_status(status)


def _component_lines(parts: Sequence[Component]) -> Iterator[str]:
    """Five lines a component, of which there may be thousands: each name is escaped once."""
    if not parts:
        return
    names = [part.name.translate(_ESCAPES) for part in parts]
    yield from _head("health_check_up", "1 when the component is said to pass or warn.")
    for part, name in zip(parts, names, strict=True):
        yield f'health_check_up{{check="{name}"}} {int(part.condition in UP)}'
    yield from _head("health_check_status", "1 for what is said of the component.")
    for part, name in zip(parts, names, strict=True):
        for each in CONDITIONS:
            yield f'health_check_status{{check="{name}",status="{each}"}} {int(each == part.condition)}'


def _selected_lines(found: Iterable[SelectedValue], status: int, unknown: Mapping[str, int]) -> Iterator[str]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(({"key": one.key} if one.key else {}, one.value))
    for name, samples in by_name.items():
        yield from _family(name, "Selected from the app's JSON.", samples)
    about = "Selected values that are neither a number nor a known status word."
    yield from _family("health_select_unknown_values", about, (({"name": name}, it) for name, it in unknown.items()))
    yield from _http_status(status)
