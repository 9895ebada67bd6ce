"""One panel as SVG: lines, a coloured number, or a table. No I/O.

A panel has a place in pixels. Coordinates are whole numbers, which keeps the files small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tools.monitoring.pictures.results import END, Line
from tools.monitoring.pictures.values import legend, shown

COLOURS = ("#3274d9", "#56a64b", "#e0852c", "#e02f44", "#8f3bb8", "#0aa2a2", "#b8860b", "#7a7a7a")
FILLS = {"green": "#2f8a3d", "orange": "#c66a12", "red": "#c4162a", "blue": "#1f60c4"}
_MOST = len(COLOURS)  # lines that are drawn
_LETTER = 5.6  # pixels of a letter of the legend, about
_AXIS = 60  # pixels of the labels of the vertical axis


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a panel and its name."""

    name: str
    line: Line


def text(x: float, y: float, words: str, style: str = "t") -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def fitted(words: str, pixels: float, letter: float = _LETTER) -> str:
    """Return the words, cut to the width."""
    most = max(3, int(pixels / letter))
    return words if len(words) <= most else f"{words[: most - 1]}…"


def draw(panel: dict[str, Any], place: Place, results: Sequence[Sequence[Line]]) -> str:
    """Return the panel. `results` has the series of each of its queries."""
    frame = f'<rect class="p" x="{place.x}" y="{place.y}" width="{place.width}" height="{place.height}" rx="3"/>'
    title = text(place.x + 8, place.y + 17, fitted(panel["title"], place.width - 16, 6.8), "h")
    body = {"stat": _stat, "table": _table, "timeseries": _lines}[panel["type"]]
    return frame + title + body(panel, place, results)


# -- one number ---------------------------------------------------------------------------------------------------


def _stat(panel: dict[str, Any], place: Place, results: Sequence[Sequence[Line]]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    series = [line for lines in results for line in lines]
    value = series[0].values[0] if series else None
    if value is None:
        words, fill = "no data", "#666"
    else:
        words, fill = shown(value, defaults["unit"], END), FILLS[_colour(defaults["thresholds"]["steps"], value)]
        for mapping in defaults.get("mappings", ()):
            option = mapping["options"].get(f"{value:g}")
            if option:
                words, fill = option["text"], FILLS[option["color"]]
    inside = f'<rect x="{place.x + 6}" y="{place.y + 26}" width="{place.width - 12}" height="{place.height - 32}"'
    middle, bottom = place.x + place.width / 2, place.y + 26 + (place.height - 32) / 2 + 8
    return f'{inside} rx="3" fill="{fill}"/>' + text(middle, bottom, words, "n")


def _colour(steps: Sequence[dict[str, Any]], value: float) -> str:
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return str(reached[-1])


# -- a table ------------------------------------------------------------------------------------------------------


def _table(panel: dict[str, Any], place: Place, results: Sequence[Sequence[Line]]) -> str:
    columns = list(panel["transformations"][-1]["options"]["renameByName"].values())
    rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for column, lines in zip(columns, results, strict=True):
        for line in lines:
            key = tuple(sorted((name, value) for name, value in line.labels.items() if name != "__name__"))
            if line.values[0] is not None:
                rows.setdefault(key, {})[column] = line.values[0]
    if not rows:
        return text(place.x + place.width / 2, place.y + place.height / 2, "no rows", "q")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    labels = [name for name, _ in next(iter(rows))]
    cells = [[*labels, *columns]]
    for key, values in rows.items():
        numbers = [shown(values[column], unit) if column in values else "" for column in columns]
        cells.append([value for _, value in key] + numbers)
    widths = [max(len(row[at]) for row in cells) + 1 for at in range(len(cells[0]))]
    scale = min(8.0, (place.width - 16) / sum(widths))
    drawn = []
    for number, row in enumerate(cells[: (place.height - 30) // 18]):
        x = place.x + 8.0
        for cell, width in zip(row, widths, strict=True):
            drawn.append(text(x, place.y + 40 + 18 * number, fitted(cell, width * scale), "t" if number else "b"))
            x += width * scale
    return "".join(drawn)


# -- lines --------------------------------------------------------------------------------------------------------


def _named(panel: dict[str, Any], results: Sequence[Sequence[Line]]) -> list[Series]:
    """Return the lines that are drawn: those that are not always 0 first, as many as there are colours."""
    found = [
        Series(legend(target["legendFormat"], line.labels), line)
        for target, lines in zip(panel["targets"], results, strict=True)
        for line in lines
    ]
    return sorted(found, key=lambda series: not any(series.line.values))[:_MOST]


def _lines(panel: dict[str, Any], place: Place, results: Sequence[Sequence[Line]]) -> str:
    defaults, series = panel["fieldConfig"]["defaults"], _named(panel, results)
    is_stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    curves = _stacked(series) if is_stacked else [one.line.values for one in series]
    base = 1024.0 if defaults["unit"] in ("bytes", "Bps") else 1000.0
    top = _round_up(max((value for curve in curves for value in curve if value is not None), default=0.0), base)
    inner = Place(place.x + _AXIS, place.y + 30, place.width - _AXIS - 10, place.height - 84)
    parts = [_grid(inner, top, defaults["unit"])]
    for step in defaults["thresholds"]["steps"][1:]:
        if step["value"] <= top:
            y = inner.y + inner.height * (1 - step["value"] / top)
            parts.append(
                f'<path d="M{inner.x} {y:.0f}h{inner.width}" stroke="{FILLS[step["color"]]}" stroke-dasharray="6 4"/>'
            )
    for colour, curve in zip(COLOURS, curves, strict=False):
        parts.append(f'<path class="l" stroke="{colour}" d="{_path(curve, inner, top)}"/>')
    return "".join(parts) + _legend([one.name for one in series], place)


def _stacked(series: Sequence[Series]) -> list[list[float | None]]:
    below = [0.0] * (len(series[0].line.values) if series else 0)
    missing = [all(value is None for value in at) for at in zip(*(one.line.values for one in series), strict=True)]
    curves: list[list[float | None]] = []
    for one in series:
        below = [under + (value or 0.0) for under, value in zip(below, one.line.values, strict=True)]
        curves.append([None if nobody else value for value, nobody in zip(below, missing, strict=True)])
    return curves


def _round_up(value: float, base: float) -> float:
    """Return the top of the axis: a round number of the unit's prefix, such as 200 MiB."""
    if value <= 0:
        return 1.0
    scale = 1.0
    while value >= base * scale:
        scale *= base
    power = 1.0
    while power * scale > value:
        power /= 10
    while power * scale * 10 <= value:
        power *= 10
    return next(power * scale * factor for factor in (1, 2, 2.5, 5, 10) if power * scale * factor >= value)


def _grid(inner: Place, top: float, unit: str) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = inner.y + inner.height * (1 - share)
        parts.append(f'<path class="g" d="M{inner.x} {y:.0f}h{inner.width}"/>')
        parts.append(text(inner.x - 6, y + 4, shown(top * share, unit), "a"))
    for number, hours in enumerate(("-3 h", "-2 h", "-1 h", "now")):
        x = inner.x + inner.width * number / 3
        parts.append(text(x, inner.y + inner.height + 15, hours, "c"))
    return "".join(parts)


def _path(curve: Sequence[float | None], inner: Place, top: float) -> str:
    """Return a path with relative steps; a missing value is a gap."""
    parts: list[str] = []
    pen: tuple[int, int] | None = None
    for number, value in enumerate(curve):
        if value is None:
            pen = None
            continue
        x = round(inner.x + inner.width * number / (len(curve) - 1))
        y = round(inner.y + inner.height * (1 - max(0.0, value) / top))
        parts.append(f"M{x} {y}" if pen is None else f"l{x - pen[0]} {y - pen[1]}")
        pen = (x, y)
    return "".join(parts)


def _legend(names: Sequence[str], place: Place) -> str:
    x, y, parts = place.x + 10.0, place.y + place.height - 22, []
    for colour, name in zip(COLOURS, names, strict=False):
        words = fitted(name, place.width / 2 - 24)
        width = 20 + len(words) * _LETTER
        if x + width > place.x + place.width and x > place.x + 10:
            x, y = place.x + 10.0, y + 14
            if y > place.y + place.height - 6:
                break
        parts.append(f'<rect x="{x:.0f}" y="{y - 6}" width="10" height="4" fill="{colour}"/>')
        parts.append(text(x + 14, y, words, "s"))
        x += width + 6
    return "".join(parts)
