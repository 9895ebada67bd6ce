"""One page of all benchmarks with plots: `python -m benchmarks.report` writes build/bench/report.html.

It shows the results of the last run of each benchmark, from build/bench.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html import escape
from typing import Any

from benchmarks.figures import RESULTS, Comparison, Figure

_BAR = 18  # pixels
_LABELS = 230  # pixels, for the names on the left
_PLOT = 420  # pixels, for the longest bar
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .15rem .7rem; text-align: left; border-bottom: 1px solid #ddd }
td.number { text-align: right; font-variant-numeric: tabular-nums } .missed { color: #b00020; font-weight: 600 }
svg text { font: 12px system-ui, sans-serif } figure { margin: 1rem 0 } figcaption { font-weight: 600 }
"""


def page(results: list[dict[str, Any]]) -> str:
    """Return the whole page."""
    parts = [part for result in results for part in _chapter(result)]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>sidecars: benchmarks</title>'
        f"<style>{_STYLE}</style>\n<h1>sidecars: benchmarks</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )


def _chapter(result: dict[str, Any]) -> Iterator[str]:
    figures = [Figure(**figure) for figure in result["figures"]]
    yield f"<h2>{escape(result['sidecar'])}</h2>\n<p>{escape(result['machine'])}</p>"
    yield "<table><tr><th>figure</th><th>measured</th><th>promised</th><th></th><th></th></tr>"
    for figure in figures:
        verdict = "" if figure.kept else '<span class="missed">missed</span>'
        yield (
            f'<tr><td>{escape(figure.name)}</td><td class="number">{figure.measured:.4g} {escape(figure.unit)}</td>'
            f"<td>{escape(figure.promise)}</td><td>{verdict}</td><td>{escape(figure.note)}</td></tr>"
        )
    yield "</table>"
    for comparison in result["comparisons"]:
        yield _plot(Comparison(**comparison), result["sidecar"])


def _plot(comparison: Comparison, ours: str) -> str:
    """Return horizontal bars, one for each contender; the sidecar has a colour of its own."""
    longest = max(comparison.values.values(), default=1.0) or 1.0
    bars = []
    for row, (name, value) in enumerate(comparison.values.items()):
        top, width = row * (_BAR + 6), max(1.0, value / longest * _PLOT)
        colour = "#1565c0" if name.startswith(ours) else "#9e9e9e"
        bars.append(
            f'<text x="{_LABELS - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'
            f'<text x="{_LABELS + width + 6:.1f}" y="{top + 13}">{value:.4g}</text>'
        )
    height, width = len(bars) * (_BAR + 6), _LABELS + _PLOT + 90
    title = escape(f"{comparison.name} ({comparison.unit})")
    size = f'width="{width}" height="{height}"'
    drawing = f'<svg role="img" aria-label="{title}" {size} xmlns="http://www.w3.org/2000/svg">{"".join(bars)}</svg>'
    return f"<figure><figcaption>{title}</figcaption>{drawing}</figure>"


def main() -> int:
    results = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    if not results:
        print(f"there is nothing in {RESULTS} yet: run a benchmark first", file=sys.stderr)
        return 1
    target = RESULTS / "report.html"
    target.write_text(page(results))
    print(f"{target}: {', '.join(result['sidecar'] for result in results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
