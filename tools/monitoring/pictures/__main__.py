"""Draw the dashboards: `python -m tools.monitoring.pictures [--check]`.

`--check` draws nothing: it fails if a picture was made from another JSON than that of today.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.monitoring import exposed
from tools.monitoring.__main__ import DEPLOY
from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.monitoring.exposed import ROOT
from tools.monitoring.pictures.drawing import digest, picture
from tools.monitoring.pictures.results import Line, prometheus
from tools.monitoring.pictures.sample_data import openmetrics

FOLDER = ROOT / "docs" / "pictures"


def source(name: str) -> str:
    """Return the text of a dashboard's JSON."""
    return (DEPLOY / "dashboards" / f"{name}.json").read_text()


def path(name: str) -> Path:
    return FOLDER / f"dashboard-{name}.svg"


def stale() -> list[str]:
    """Return the names of the pictures that are not there, or were made from another JSON."""
    found = []
    for name in DASHBOARDS:
        text = path(name).read_text() if path(name).is_file() else ""
        made_from = re.search(r"<metadata>sha256:([0-9a-f]{64})</metadata>", text)
        if made_from is None or made_from[1] != digest(source(name)):
            found.append(name)
    return found


def write() -> None:
    """Draw all dashboards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sidecars-pictures-") as folder,
        prometheus(openmetrics(exposed.pages()), Path(folder)) as results,
    ):

        def ask(expression: str, over_time: bool) -> Sequence[Line]:  # noqa: FBT001 - as the JSON has it
            return results.over_time(expression) if over_time else results.now(expression)

        for name in DASHBOARDS:
            text = source(name)
            path(name).write_text(picture(json.loads(text), text, ask))


def main(argv: list[str]) -> int:
    if argv not in ([], ["--check"]):
        print("usage: python -m tools.monitoring.pictures [--check]", file=sys.stderr)
        return 64
    if not argv:
        write()
        return 0
    for name in (found := stale()):
        print(f"{path(name).relative_to(ROOT)} shows another dashboard: run make pictures", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
