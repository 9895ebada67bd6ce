"""Panels as data, and the JSON of a Grafana dashboard that is laid out from them.

Panels flow from left to right in Grafana's grid of 24 columns; a row begins a new line with a heading. Every panel has
a unit and a description. Queries select with three variables: the data source, the namespaces and the Pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.monitoring.alerts.rules import DOCUMENTATION

COLUMNS = 24
SCHEMA_VERSION = 39  # Grafana 10.4 and later read it
SELECTED = 'namespace=~"$namespace", pod=~"$pod"'
"""The matchers of the variables, for a query's braces."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, AMBER, RED, BLUE = "green", "orange", "red", "blue"


def of(name: str) -> str:
    """Return the end of a query that keeps the series of this sidecar: several of a Pod have metrics of one name."""
    return f' and on (instance) sidecar_build_info{{name="{name}", {SELECTED}}}'


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `legend` names its series, with labels in {{ }}."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    - `unit`: an id of Grafana's units: s, bytes, Bps, reqps, percentunit, short, none, bool_yes_no, dateTimeFromNow.
    - `steps`: the thresholds, as (from, colour); the first one has no lower end.
    - `kind`: timeseries, stat or table.
    - `names`: words for values of a stat, such as 0 and 1.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ()
    names: tuple[tuple[str, str, str], ...] = ()
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and the panels below it."""

    title: str
    panels: Sequence[Panel]


def stat(title: str, description: str, unit: str, query: str, *steps: tuple[float | None, str], **more: Any) -> Panel:
    """Return a panel with one number for the whole selection."""
    size = {"width": 4, "height": 4}
    return Panel(title, description, unit, [Query(query)], kind="stat", steps=steps, **{**size, **more})


def yes_no(title: str, description: str, query: str, yes: str, no: str) -> Panel:
    """Return a panel that says one of two words: `yes` for 1 in green, `no` for 0 in red."""
    names = (("0", no, RED), ("1", yes, GREEN))
    return stat(title, description, "bool_yes_no", query, (None, RED), (1, GREEN), names=names)


def table(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Return a panel with the latest values, a row for each series."""
    return Panel(title, description, unit, queries, kind="table", **more)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. `uid` is its address in Grafana and never changes. `name` is the sidecar; "" stands for all."""

    uid: str
    title: str
    description: str
    name: str
    rows: Sequence[Row]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]

    def json(self) -> dict[str, Any]:
        """Return the dashboard as Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["sidecars"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "links": _links(),
            "templating": {"list": list(_variables(self.name))},
            "annotations": {"list": list(_annotations(self.name))},
            "panels": list(_laid_out(self.rows)),
        }


def _links() -> list[dict[str, Any]]:
    runbooks = {"title": "Runbooks", "type": "link", "url": f"{DOCUMENTATION}/troubleshooting.md", "targetBlank": True}
    others = {"title": "Sidecars", "type": "dashboards", "tags": ["sidecars"], "asDropdown": True, "keepTime": True}
    return [runbooks, others | {"includeVars": True}]


def _variables(name: str) -> Iterable[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    known = f'name="{name}"' if name else ""
    for label, matchers in (("namespace", known), ("pod", f'{known}{", " if known else ""}namespace=~"$namespace"')):
        selector = f"sidecar_build_info{{{matchers}}}" if matchers else "sidecar_build_info"
        yield {
            "name": label,
            "label": label.capitalize(),
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": f"label_values({selector}, {label})", "refId": label},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _annotations(name: str) -> Iterable[dict[str, Any]]:
    only = of(name) if name else ""
    starts = f"changes(process_start_time_seconds{{{SELECTED}}}[$__interval]) > 0{only}"
    known = f'name="{name}", ' if name else ""
    version = f"count by (name, version) (sidecar_build_info{{{known}{SELECTED}}} unless"
    version += f" sidecar_build_info{{{known}{SELECTED}}} offset 5m)"
    for title, colour, expression, text in (
        ("Starts", BLUE, starts, "{{pod}} {{container}} has started"),
        ("New versions", AMBER, version, "{{name}} {{version}} has come"),
    ):
        yield {
            "name": title,
            "datasource": DATASOURCE,
            "enable": True,
            "expr": expression,
            "iconColor": colour,
            "titleFormat": text,
            "step": "60s",
        }


def _laid_out(rows: Sequence[Row]) -> Iterable[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
        number += 1
        heading = {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": []}
        yield heading | {"gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
        x, y, below = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, below = 0, y + below, 0
            number += 1
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield _panel(panel, number) | {"gridPos": place}
            x, below = x + panel.width, max(below, panel.height)
        y += below


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    is_table = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "range": panel.kind == "timeseries",
            "instant": panel.kind != "timeseries",
            **({"format": "table"} if is_table else {}),
        }
        for index, query in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _thresholds(panel)}
    if panel.names:
        options = {value: {"text": text, "color": colour} for value, text, colour in panel.names}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        **({"transformations": _columns(panel.queries)} if is_table else {}),
    }


def _columns(queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Return the steps that make one table of the queries, whose values have the names of their legends as headings."""
    values = [f"Value #{chr(ord('A') + index)}" for index in range(len(queries))] if len(queries) > 1 else ["Value"]
    named = {value: query.legend for value, query in zip(values, queries, strict=True)}
    return [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": named}},
    ]


def _thresholds(panel: Panel) -> dict[str, Any]:
    steps = panel.steps or ((None, GREEN),)
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        shown = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": shown, "colorMode": "background", "graphMode": "none", "textMode": "auto"}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
