"""Write or check everything that is made from `tools/monitoring`: `python -m tools.monitoring --write | --check`.

Both run the four sidecars for some seconds, on loopback: the reference of metrics is made from their pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.monitoring import exposed, objects, reference
from tools.monitoring.dashboards.catalogue import DASHBOARDS
from tools.monitoring.exposed import ROOT

REFERENCE = ROOT / "docs" / "reference" / "metrics.md"
DEPLOY = ROOT / "deploy" / "monitoring"


def files() -> dict[Path, str]:
    """Return the files below `deploy/monitoring`, and the text of each."""
    return {
        DEPLOY / "alerts.yaml": objects.alerts(),
        DEPLOY / "prometheusrule.yaml": objects.prometheus_rule(),
        DEPLOY / "podmonitor.yaml": objects.pod_monitor(),
        DEPLOY / "prometheus.yaml": objects.prometheus(),
        DEPLOY / "opentelemetry-collector.yaml": objects.collector(),
        DEPLOY / "configmaps.yaml": objects.config_maps(),
        **{DEPLOY / "dashboards" / f"{name}.json": objects.dashboard_json(name) for name in DASHBOARDS},
    }


def stale(wanted: dict[Path, str]) -> list[Path]:
    """Return the files whose text is another one, and those below `deploy/monitoring` that nothing makes."""
    there = {path for path in DEPLOY.rglob("*") if path.is_file()}
    different = {path for path, text in wanted.items() if not path.is_file() or path.read_text() != text}
    return sorted(different | (there - wanted.keys()))


def main(argv: list[str]) -> int:
    if argv not in (["--write"], ["--check"]):
        print("usage: python -m tools.monitoring --check | --write", file=sys.stderr)
        return 64
    wanted = files() | {REFERENCE: reference.page(exposed.families(exposed.pages()))}
    changed = stale(wanted)
    if argv == ["--write"]:
        for path in changed:
            if path in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted[path])
            else:
                path.unlink()
        return 0
    for path in changed:
        print(f"{path.relative_to(ROOT)} is stale: run make docs", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
