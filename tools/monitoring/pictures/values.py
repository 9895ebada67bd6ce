"""Values as Grafana shows them in a unit, and legends. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BINARY = ("", "Ki", "Mi", "Gi", "Ti")
_DECIMAL = ("", "k", "M", "G")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def shown(value: float, unit: str, now: float = 0.0) -> str:
    """Return the value in one of Grafana's units that the dashboards use. `now` is a Unix time in seconds."""
    if unit == "s":
        return _seconds(value)
    if unit in ("bytes", "Bps"):
        return f"{_scaled(value, 1024.0, _BINARY)}B" + ("/s" if unit == "Bps" else "")
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "reqps":
        return f"{_scaled(value, 1000.0, _DECIMAL, ' ').rstrip()} req/s"
    if unit == "dateTimeFromNow":
        return f"{_seconds(now - value / 1000)} ago"
    return _scaled(value, 1000.0, _DECIMAL, " ").rstrip()


def _seconds(value: float) -> str:
    if abs(value) >= _DAY:
        return f"{value / _DAY:.3g} d"
    if abs(value) >= _HOUR:
        return f"{value / _HOUR:.3g} h"
    if abs(value) >= 2 * _MINUTE:
        return f"{value / _MINUTE:.3g} min"
    return f"{value:.3g} s" if abs(value) >= 1 or not value else f"{1000 * value:.3g} ms"


def _scaled(value: float, base: float, prefixes: tuple[str, ...], space: str = " ") -> str:
    step = 0
    while abs(value) >= base and step < len(prefixes) - 1:
        value, step = value / base, step + 1
    return f"{_number(value)}{space}{prefixes[step]}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def legend(template: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series: labels in {{ }} are filled in."""
    if template == "__auto":
        return ", ".join(f"{name}={value}" for name, value in labels.items() if name != "__name__") or "value"
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), template).strip()
