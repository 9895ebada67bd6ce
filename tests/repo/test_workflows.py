"""The workflows call what a laptop can run, with the least rights. zizmor and the schemas are in `make check-code`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What a job may run beside .ci/run and the targets: packages of the runner, the log-in, and the release itself.
OTHERS = (
    "sudo apt-get ",
    "docker login ",
    "docker buildx create ",
    "gh release create ",
    'echo "digests=',
    'echo "names=',
)


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield f"{path.name}: {name}", job


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [(name, step) for name, job in jobs() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_right_and_each_job_names_those_that_it_needs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["timeout-minutes"], name


def test_each_action_is_pinned_by_its_commit_with_the_version_beside_it() -> None:
    lines = [line.strip() for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert len(lines) > 5
    assert [line for line in lines if not re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v[\d.]+$", line)] == []


def test_a_step_runs_a_target_of_the_makefile_or_ci_run() -> None:
    wrong = []
    for name, step in steps():
        for line in step.get("run", "").splitlines():
            make = re.fullmatch(r"make ([a-z0-9-]+)", line)
            ours = make[1] in TARGETS if make else line.endswith(" .ci/run")
            if not ours and not line.startswith(OTHERS):
                wrong.append(f"{name}: {line}")
    assert wrong == []


def test_no_expression_is_put_into_a_command() -> None:
    assert [name for name, step in steps() if "${{" in step.get("run", "")] == []


def test_the_release_attests_the_provenance_of_every_image() -> None:
    found = dict(jobs())
    assert (
        found["release.yml: provenance"]["strategy"]["matrix"]["name"] == "${{ fromJSON(needs.images.outputs.names) }}"
    )
    publish = next(step for step in found["release.yml: images"]["steps"] if step.get("id") == "publish")
    assert 'echo "names=$(jq --compact-output keys build/release/digests.json)"' in publish["run"]
