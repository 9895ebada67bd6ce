"""A whole dashboard as SVG, from its JSON and the results of its queries. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from tools.monitoring.pictures.panel_drawing import Place, draw, text
from tools.monitoring.pictures.results import Line

COLUMN, ROW, GAP, HEAD = 50, 30, 4, 46  # pixels
NOTE = "A drawing from the dashboard's JSON and sample data, no screenshot of Grafana"
_STYLE = (
    "text{font-family:sans-serif;fill:#24292e}.h{font-size:12px;font-weight:bold}.d{font-size:18px;font-weight:bold}"
    ".t,.s,.a,.c{font-size:10px}.b{font-size:10px;font-weight:bold}.r{font-size:13px;font-weight:bold}.a{text-anchor:end}"
    ".c,.q{text-anchor:middle}.q{font-size:11px}.n{font-size:22px;font-weight:bold;text-anchor:middle;fill:#fff}"
    ".p{fill:#fff;stroke:#d0d4d9}.g{stroke:#e7e9ec}.l{fill:none;stroke-width:1.5}"
)

Ask = Callable[[str, bool], Sequence[Line]]
"""Return the result of a query: over time, or now."""


def digest(dashboard: str) -> str:
    """Return the digest of a dashboard's JSON, which its picture names."""
    return hashlib.sha256(dashboard.encode()).hexdigest()


def picture(dashboard: dict[str, Any], source: str, ask: Ask) -> str:
    """Return the picture. `source` is the text of the JSON."""
    panels = dashboard["panels"]
    height = HEAD + ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + GAP
    width = 24 * COLUMN + 2 * GAP
    title = escape(dashboard["title"])
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img"><title>{title}</title><desc>{escape(NOTE)}. {escape(dashboard["description"])}</desc>'
            f"<metadata>sha256:{digest(source)}</metadata><style>{_STYLE}</style>"
            f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>'
        ),
        text(10, 28, dashboard["title"], "d"),
        f'<text class="a" x="{width - 10}" y="28">{escape(NOTE)}</text>',
    ]
    for panel in panels:
        grid = panel["gridPos"]
        place = Place(
            GAP + grid["x"] * COLUMN + GAP // 2,
            HEAD + grid["y"] * ROW + GAP // 2,
            grid["w"] * COLUMN - GAP,
            grid["h"] * ROW - GAP,
        )
        if panel["type"] == "row":
            parts.append(text(place.x + 6, place.y + 18, panel["title"], "r"))
            continue
        results = [ask(target["expr"], target["range"]) for target in panel["targets"]]
        parts.append(draw(panel, place, results))
    return "\n".join(parts) + "\n</svg>\n"
