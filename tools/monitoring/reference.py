"""The reference of all metrics, from the pages of sidecars that run.

A label is closed if the code knows all its values: their series exist from the start, so the pages have them all. The
others are in OPEN, with a description of what chooses the values; with the metric before it, if others have the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tools.monitoring.exposed import Family

OPEN = {
    "app": "name of the app in the settings; `default` without one",
    "code": "HTTP status",
    "endpoint": "address and port, or the path of a unix socket",
    "file": "file name",
    "input": "name of the input in the settings; `default` without one",
    "logshipper_matches.name": "name of the counter in `LOGSHIPPER_COUNT`",
    "part": "`format`, `time`, `level` or `message`, if a setting names it",
    "route": "path; `other` for requests that no route answers",
    "rule": "name of the rule",
    "sha256": "digest of the file",
    "sink": "name of the sink in the settings; `default` without one",
    "upstream": "name of the upstream in the settings, `default` without one; the address of a port with `ROUTE`",
    "version": "version of the sidecar",
}
_UNITS = (
    ("_timestamp_seconds", "Unix time"),
    ("_time_seconds", "Unix time"),
    ("_seconds", "seconds"),
    ("_bytes", "bytes"),
)
_HEAD = """# Metrics

Made by `make docs` from the pages of running sidecars; do not edit. Every sidecar that serves (a warcopier only with
`WARCOPIER_WATCH=true`) has `/metrics` on its admin port, as Prometheus text or OpenMetrics.

- The series of a counter ends in `_total`, those of a histogram in `_bucket`, `_sum` and `_count`.
- A label with a list of values has a series for each value from the start, so `increase()` sees the first event.
- [How to scrape them, with alerts and dashboards](../how-to/monitor.md).
"""


def unit(family: Family) -> str:
    """Return the unit of the metric's values."""
    for suffix, name in _UNITS:
        if family.name.endswith(suffix):
            return name
    is_flag = family.help.startswith(("1 ", "0 ")) or family.name.endswith(("_info", "_ready"))
    return "0 or 1" if is_flag else "number"


def page(families: Mapping[str, Family]) -> str:
    """Return the page. Its sections: metrics of every sidecar, then those of each."""
    names = set[str]().union(*(family.of for family in families.values()))
    every = [family for family in families.values() if family.of == names]
    text = _HEAD + "\n## Every sidecar\n\n" + _table(every)
    for name in sorted(names):
        own = [family for family in families.values() if family.of == {name}]
        text += f"\n## {name}\n\n" + _table(own)
    return text


def _table(families: Iterable[Family]) -> str:
    lines = ["| metric | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    for family in sorted(families, key=lambda one: one.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = "<br>".join(_label(family.name, label, values) for label, values in sorted(family.labels.items()))
        lines.append(f"| `{name}` | {family.type} | {labels} | {unit(family)} | {family.help} |")
    return "\n".join(lines) + "\n"


def _label(metric: str, label: str, values: Iterable[str]) -> str:
    known = OPEN.get(f"{metric}.{label}") or OPEN.get(label) or ", ".join(f"`{value}`" for value in sorted(values))
    return f"`{label}`: {known}"
