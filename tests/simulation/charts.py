"""A chart of lines over time as SVG, for light and dark pages. No I/O; the same lines give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 340  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 52, 92  # around the lines
_LETTER = 7.6  # pixels of a letter, about
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LIGHT = ("#1f60c4", "#c4162a", "#2f8a3d", "#b35c00", "#7a3fb0", "#6b7280")
_DARK = ("#7ab0ff", "#ff8a8f", "#7fd68b", "#ffb357", "#c9a2f5", "#a3aab5")
_STYLE = (
    "text{font:12px sans-serif;fill:#24292e}.d{font-size:15px;font-weight:bold}.b{fill:#fff}.g{stroke:#d8dce0}"
    ".z{fill:#f2e9d8}.l{fill:none;stroke-width:2}.e{text-anchor:end}.m{text-anchor:middle}"
)
_STYLE_DARK = "text{fill:#e6e8eb}.b{fill:#0d1117}.g{stroke:#3a414a}.z{fill:#2b2618}"


@dataclass(frozen=True)
class Line:
    """A named line: points of seconds and values."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def _round_up(value: float) -> float:
    """Return a round number of at least this value."""
    power = 1e-3
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in _STEPS if step * power >= value)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def chart(title: str, unit: str, lines: Sequence[Line], *, zone: tuple[float, float, str]) -> str:
    """Return the chart. `unit` of the values; `zone` is a span of seconds that is marked, and its name."""
    end = max(point[0] for line in lines for point in line.points)
    top = _round_up(max(point[1] for line in lines for point in line.points))
    wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x_of(second: float) -> float:
        return _LEFT + wide * second / end

    def y_of(value: float) -> float:
        return _TOP + high * (1 - value / top)

    marked = x_of(zone[1]) - x_of(zone[0])
    colours = "".join(f".s{at}{{stroke:{colour}}}" for at, colour in enumerate(_LIGHT))
    dark = "".join(f".s{at}{{stroke:{colour}}}" for at, colour in enumerate(_DARK))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}{colours}@media(prefers-color-scheme:dark){{{_STYLE_DARK}{dark}}}</style>",
        f'<rect class="b" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<rect class="z" x="{x_of(zone[0]):.0f}" y="{_TOP}" width="{marked:.0f}" height="{high}"/>',
        _text(_LEFT, 20, title, "d"),
        _text((x_of(zone[0]) + x_of(zone[1])) / 2, _TOP - 8, zone[2], "m"),
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = y_of(top * share)
        parts += [f'<path class="g" d="M{_LEFT} {y:.0f}h{wide}"/>', _text(_LEFT - 8, y + 4, _shown(top * share), "e")]
    every = _round_up(end / 10)
    for number in range(int(end / every) + 1):
        parts.append(_text(x_of(number * every), _TOP + high + 16, f"{number * every:g}", "m"))
    parts.append(_text(_LEFT + wide / 2, _TOP + high + 32, f"seconds · {unit}", "m"))
    parts += [
        f'<path class="l s{at}" d="{_path([(x_of(second), y_of(value)) for second, value in line.points])}"'
        f"{' stroke-dasharray=' + chr(34) + '6 4' + chr(34) if line.is_dashed else ''}/>"
        for at, line in enumerate(lines)
    ]
    return "\n".join([*parts, *_legend(lines)]) + "\n</svg>\n"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def _legend(lines: Sequence[Line]) -> list[str]:
    x, y, parts = float(_LEFT), HEIGHT - 32, []
    for at, line in enumerate(lines):
        width = 30 + len(line.name) * _LETTER
        if x + width > WIDTH and x > _LEFT:
            x, y = float(_LEFT), y + 18
        parts += [f'<path class="l s{at}" d="M{x:.0f} {y - 4}h18"/>', _text(x + 24, y, line.name)]
        x += width + 12
    return parts
