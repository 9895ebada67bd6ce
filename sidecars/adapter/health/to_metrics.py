"""The metrics page of a health document, or of selected numbers. No I/O.

    health_up                        1 if the app reports pass or warn, 0 if not
    health_status{status}            1 for the reported status: pass, warn, fail or unknown
    health_check_up{check}           1 if the component reports pass or warn, 0 if not
    health_check_status{check,status}  1 for the component's status
    health_check_value{check,name}   a number that the document has for the component
    health_status_value              the number of the app's status word, if ADAPTER_STATUS_VALUES is set
    health_check_status_value{check} the number of the component's status word, if ADAPTER_STATUS_VALUES is set
    health_select_unknown_values{name}  values of ADAPTER_SELECT that are no number, and so are not on the page
    health_http_status_code          the HTTP status of the response
    adapter_app_up{app}              of several apps on one page: 1 if the app's response could be used

The names do not depend on the dialect, so that dashboards survive a change of the app's framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sidecars.adapter.exposition.labels import escape
from sidecars.adapter.health.documents import Component, HealthDocument
from sidecars.adapter.health.json_path_selection import SelectedValue
from sidecars.adapter.health.status_words import HEALTH_STATUSES, UP

_EXACT = 2.0**53  # every whole number below has a float of its own
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def page_of_health(document: HealthDocument, http_status: int, *, numbers: bool = False) -> bytes:
    """Return the document as a page. With `numbers` it has the numbers of status words, too."""
    return _page(_health_lines(document, http_status, numbers=numbers))


def page_of_selected(selected: Iterable[SelectedValue], http_status: int, unknown: Mapping[str, int]) -> bytes:
    """Return the selected numbers as a page, one gauge a name. `unknown` counts the values that are no number."""
    return _page(_selected_lines(selected, http_status, unknown))


def page_of_up(apps: Mapping[str, bool]) -> bytes:
    """Return the page that shows which of several apps gave a usable response."""
    about = "1 when the app gave a usable response."
    return _page(_family("adapter_app_up", about, (({"app": app}, int(up)) for app, up in apps.items())))


def _page(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")  # JSON may have half a surrogate pair


LabelledSamples = Iterable[tuple[dict[str, str], float]]


def _family(name: str, about: str, samples: LabelledSamples) -> Iterator[str]:
    """Yield the lines of a gauge; no line at all without a sample."""
    begun = False
    for labels, value in samples:
        if not begun:
            begun = True
            yield from _head(name, about)
        pairs = ",".join(f'{label}="{escape(text)}"' for label, text in labels.items())
        yield f"{name}{{{pairs}}} {_format_value(value)}" if pairs else f"{name} {_format_value(value)}"


def _head(name: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} gauge"


def _format_value(value: float) -> str:
    """Return the value as the text format has it: a whole number without a point. (JSON's 1e999 is infinite.)"""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(value)


def _http_status(http_status: int) -> Iterator[str]:
    return _family("health_http_status_code", "The HTTP status of the app's response.", [({}, http_status)])


def _health_lines(document: HealthDocument, http_status: int, *, numbers: bool) -> Iterator[str]:
    components = document.components
    yield from _family("health_up", "1 when the app reports pass or warn.", [({}, int(document.up))])
    yield from _family(
        "health_status",
        "1 for the status that the app reports.",
        (({"status": each}, int(each == document.status)) for each in HEALTH_STATUSES),
    )
    yield from _component_lines(components)
    yield from _family(
        "health_check_value",
        "A number that the app reports for the component.",
        (
            ({"check": component.name, "name": name}, value)
            for component in components
            for name, value in component.values.items()
        ),
    )
    if numbers:
        whole: LabelledSamples = [] if document.number is None else [({}, document.number)]
        yield from _family("health_status_value", "The number of the app's status word.", whole)
        known = (
            ({"check": component.name}, component.number) for component in components if component.number is not None
        )
        yield from _family("health_check_status_value", "The number of the component's status word.", known)
    yield from _http_status(http_status)


def _component_lines(components: Sequence[Component]) -> Iterator[str]:
    """Yield five lines for each component. There may be thousands, so each name is escaped once."""
    if not components:
        return
    names = [escape(component.name) for component in components]
    yield from _head("health_check_up", "1 when the component passes or warns.")
    for component, name in zip(components, names, strict=True):
        yield f'health_check_up{{check="{name}"}} {int(component.status in UP)}'
    yield from _head("health_check_status", "1 for the status that the app reports for the component.")
    for component, name in zip(components, names, strict=True):
        for each in HEALTH_STATUSES:
            yield f'health_check_status{{check="{name}",status="{each}"}} {int(each == component.status)}'


def _selected_lines(selected: Iterable[SelectedValue], http_status: int, unknown: Mapping[str, int]) -> Iterator[str]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
    for one in selected:
        by_name.setdefault(one.name, []).append(({"key": one.key} if one.key else {}, one.value))
    for name, samples in by_name.items():
        yield from _family(name, "Selected from the app's JSON.", samples)
    about = "Selected values that are neither a number nor a known status word."
    counts = (({"name": name}, count) for name, count in unknown.items())
    yield from _family("health_select_unknown_values", about, counts)
    yield from _http_status(http_status)
