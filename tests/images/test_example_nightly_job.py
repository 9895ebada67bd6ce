"""examples/nightly-job in real containers: the program comes from the copier's image, and every line arrives."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter

import pytest

from tests.images.support import docker, state
from tests.support import ROOT

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/nightly-job/compose.yaml"


def test_the_job_ends_by_itself_and_each_line_has_arrived_once() -> None:
    project = f"sidecars-test-{uuid.uuid4().hex[:8]}"

    def compose(*arguments: str) -> str:
        return docker("compose", "--project-name", project, "--file", FILE, *arguments)

    try:
        compose("up", "--build", "--detach", "--quiet-pull", "report", "logshipper")
        containers = {name: compose("ps", "--all", "--quiet", name).strip() for name in ("report", "logshipper")}
        assert docker("wait", containers["report"], containers["logshipper"]).split() == ["0", "0"]
        assert state(containers["logshipper"])["StartedAt"] < state(containers["report"])["StartedAt"]
        received = docker("logs", compose("ps", "--all", "--quiet", "logreceiver").strip()).splitlines()
    finally:
        print(compose("logs", "--no-color", "--tail", "20", "warcopier", "logshipper"))  # noqa: T201 - what went wrong
        compose("down", "--volumes", "--timeout", "5")
    texts = {record["id"]: record["message"] for record in map(json.loads, received)}.values()
    orders = Counter(int(found[1]) for text in texts if (found := re.search(r"(?:INFO|ERROR) order (\d+)", text)))
    assert orders == Counter(range(5000))
    assert sum("Traceback" in text and "has no customer" in text for text in texts) == 5, "a trace is one event"
