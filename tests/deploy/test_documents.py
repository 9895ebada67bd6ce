"""The pages of `deploy`: their commands run as they stand, their manifests are valid, their tables say what is so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import kubernetes
from tests.deploy.charts import HELM
from tests.deploy.test_injection import environ, init_containers, injected
from tests.support import ROOT
from tools.documents.blocks import all_blocks
from tools.manifests.containers import SIDECARS, Sidecar, container

BLOCKS = [
    (block.file, block.text)
    for block in all_blocks()
    if block.mark == "run by" and block.what == "tests/deploy/test_documents.py"
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder `deploy`: `helm dependency update` writes into it."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "deploy", copy / "deploy")
    return copy


@pytest.mark.parametrize(("page", "commands"), BLOCKS, ids=[f"{page}-{text.split()[1]}" for page, text in BLOCKS])
def test_the_commands_of_a_page_run_as_they_stand(programs: Path, tree: Path, page: str, commands: str) -> None:
    environ_of_a_reader = {"HOME": str(tree), "PATH": f"{programs}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["/bin/sh", "-ec", commands], cwd=tree, env=environ_of_a_reader, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    if "grep -c" in commands:
        assert ran.stdout.strip() == "3"
    else:
        documents = [document for document in yaml.safe_load_all(_documents(ran.stdout)) if document]
        assert documents
        kubernetes.accepts(documents, ["1.36", "1.37"])


def _documents(said: str) -> str:
    """Return the output from its first document on: `helm dependency update` speaks before."""
    return said[min(said.index(start) for start in ("---\n", "apiVersion:") if start in said) :]


def test_the_pages_have_the_commands_that_are_run_here() -> None:
    assert len(BLOCKS) == 4


def test_the_first_pod_gets_the_sidecar_that_the_page_promises() -> None:
    given: dict[str, Any] = yaml.safe_load((ROOT / "deploy/policies/first-pod.yaml").read_text())
    found = injected(given)
    assert init_containers(found) == ["adapter"]
    assert environ(found, "adapter") == {"ADAPTER_TARGET": "http://127.0.0.1:8080", "ADAPTER_MODE": "verdict"}
    kubernetes.accepts([given, found])


def test_the_first_pod_takes_four_steps() -> None:
    section = (
        (ROOT / "deploy/README.md").read_text().partition("## By injection: the first Pod")[2].partition("\n## ")[0]
    )
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == ["1", "2", "3", "4"]


def test_no_page_claims_that_an_api_server_runs_in_the_tests() -> None:
    for name in ("deploy/README.md", "deploy/policies/inject.yaml"):
        text = (ROOT / name).read_text()
        assert re.search(r"No API server runs|have no API server", text), name
    assert "not run by anybody" in (ROOT / "deploy/README.md").read_text().lower()


@pytest.mark.parametrize("chart", ["sidecars", "sidecars-platform"])
def test_every_value_of_a_chart_is_in_its_readme_its_schema_and_its_defaults(chart: str) -> None:
    folder = HELM / chart
    rows = re.findall(r"^\| `([\w.]+)` \|", (folder / "README.md").read_text().partition("## Values")[2], re.MULTILINE)
    defaults = yaml.safe_load((folder / "values.yaml").read_text())
    schema = json.loads((folder / "values.schema.json").read_text())
    assert len(rows) > 20
    for row in rows:
        value, known = defaults, schema
        for key in row.split("."):
            value, known = value[key], known["properties"][key]
        assert known["description"], row


@pytest.mark.parametrize("sidecar", [one for one in SIDECARS if one.admin], ids=lambda one: one.name)
def test_the_pod_of_a_sidecars_readme_has_the_start_up_probe_of_its_component(sidecar: Sidecar) -> None:
    page = (ROOT / "sidecars" / sidecar.name / "README.md").read_text()
    (first, *_) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (shown,) = yaml.safe_load(first)["initContainers"]
    ours = container(sidecar).get("startupProbe")
    if ours:
        ours["httpGet"]["port"] = sidecar.admin  # by number, since the page has no name for it
    assert shown.get("startupProbe") == ours
