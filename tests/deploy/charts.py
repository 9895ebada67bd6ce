"""The charts as helm renders them. The library is seen through the example, a chart that depends on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.conftest import Run
from tests.support import ROOT

HELM = ROOT / "deploy" / "helm"
REGISTRY = "registry.invalid/sidecars"


def with_library(folder: Path, run: Run, chart: str = "example") -> Path:
    """Return a copy of a chart that has the library among its dependencies, as `helm dependency update` puts it."""
    shutil.copytree(HELM / "sidecars", folder / "sidecars")
    shutil.copytree(HELM / chart, folder / chart)
    run("helm", "dependency", "update", folder / chart)
    return folder / chart


def rendered(run: Run, chart: Path, values: dict[str, Any] | None = None, *arguments: str) -> list[dict[str, Any]]:
    """Return the documents of a chart. Fails the test with helm's message if it refuses the values."""
    made = template(run, chart, values, *arguments, check=True)
    return [document for document in yaml.safe_load_all(made) if document]


def refused(run: Run, chart: Path, values: dict[str, Any], *arguments: str) -> str:
    """Return helm's message about values that it must refuse."""
    return template(run, chart, values, *arguments, check=False)


def template(run: Run, chart: Path, values: dict[str, Any] | None, *arguments: str, check: bool) -> str:
    file = chart.parent / "values-of-the-test.json"
    file.write_text(json.dumps(values or {}))
    ran = run("helm", "template", "sidecars", chart, "--values", file, *arguments, check=check)
    if check:
        return ran.stdout
    assert ran.returncode, f"helm accepts {values}"
    return ran.stderr


def by_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]
