"""The twin of examples/node-agent: its node, its collector and the settings of its compose file, on loopback."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import Start
from tests.support import ROOT, Program, free_port, wait_until
from tools.manifests import node_agent

EXAMPLE = ROOT / "examples" / "node-agent"
SERVICES = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
PATIENCE = 60.0  # seconds


class Twin:
    """A node with its agent. `pods` stands for /var/log/pods."""

    def __init__(self, folder: Path, start: Start) -> None:
        self.pods = folder / "pods"
        self.pods.mkdir()
        self.collector = free_port()
        self.admin = free_port()
        self._folder = folder
        self._start = start

    def agent(self) -> Program:
        environ = {name: str(value) for name, value in SERVICES["logshipper"]["environment"].items()}
        assert environ["LOGSHIPPER_SINK"] == "http://collector:8080/"
        assert environ["LOGSHIPPER_PATH_FIELDS"] == "kubernetes"
        template = f"{self.pods}/{{namespace}}_{{pod}}_{{pod_uid}}/{{container}}/{{restart}}.log*"
        environ = {name: value.replace("/var/log/pods", str(self.pods)) for name, value in environ.items()}
        environ |= {"LOGSHIPPER_SINK": f"http://127.0.0.1:{self.collector}/", "LOGSHIPPER_PATH_FIELDS": template}
        environ["LOGSHIPPER_STATE_DIR"] = str(self._folder / "state")
        return self._start("logshipper", **environ, LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{self.admin}")

    def node(self, **environ: str) -> subprocess.Popen[str]:
        variables = {**os.environ, "NODE_LOGS": str(self.pods), **environ}
        return subprocess.Popen(
            [sys.executable, str(EXAMPLE / "node.py")], env=variables, stdout=subprocess.PIPE, text=True
        )

    def arrived(self) -> dict[str, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.collector}/pods"
        found: dict[str, dict[str, Any]] = httpx.get(url, trust_env=False, timeout=PATIENCE).json()
        return found

    def is_up(self) -> bool:
        try:
            return self.arrived() == {}
        except httpx.TransportError:
            return False

    def lines(self) -> dict[str, int]:
        return {name: one["lines"] for name, one in self.arrived().items()}


@contextmanager
def collecting(twin: Twin) -> Iterator[None]:
    variables = {**os.environ, "HOST": "127.0.0.1", "PORT": str(twin.collector)}
    process = subprocess.Popen([sys.executable, str(EXAMPLE / "collector.py")], env=variables)
    try:
        wait_until(twin.is_up, "the collector listens", PATIENCE)
        yield
    finally:
        process.terminate()
        process.wait()


def test_every_line_of_each_pod_arrives_through_the_kubelets_rotations_and_a_kill(tmp_path: Path, start: Start) -> None:
    twin = Twin(tmp_path, start)
    with collecting(twin):
        agent = twin.agent()
        agent.wait_ready(twin.admin)
        node = twin.node(NODE_LINES="2500", NODE_RATE="700", NODE_MAX_SIZE="100000", NODE_LOOK="1")
        wait_until(lambda: min(twin.lines().values(), default=0) > 10, "lines of all Pods", PATIENCE)
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        again = twin.agent()
        output, _ = node.communicate(timeout=PATIENCE)
        written = json.loads(output)
        assert len(written) == 11
        assert list(tmp_path.glob("pods/batch_*/app/0.log.*.gz")), "the kubelet did compress"
        wait_until(lambda: twin.lines() == written, "everything has arrived", PATIENCE)
        assert {name: one["missing"] for name, one in twin.arrived().items()} == dict.fromkeys(written, 0)
        assert again.stop() == 0


def test_the_compose_file_has_the_settings_and_the_rights_of_the_daemon_set() -> None:
    here = SERVICES["logshipper"]
    settings = dict(node_agent.SETTINGS)
    del settings["LOGSHIPPER_MAX_HELD"]
    kustomization = yaml.safe_load((EXAMPLE / "kubernetes" / "kustomization.yaml").read_text())
    (merged,) = kustomization["configMapGenerator"]
    settings |= dict(one.split("=", 1) for one in merged["literals"])
    own = {"LOGSHIPPER_SINK", "LOGSHIPPER_EXCLUDE", "NODE_NAME"}
    assert {name: value for name, value in here["environment"].items() if name not in own} == {
        name: value for name, value in settings.items() if name not in own
    }
    assert here["cap_drop"] == ["ALL"]
    assert here["cap_add"] == ["DAC_READ_SEARCH"]
    assert here["user"].split(":")[0] == "0"


def _lines_of(pod: Any) -> list[int]:
    """Return the numbers of the lines in all files of a Pod."""
    files = [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in pod.files()]
    return sorted(json.loads(line.split(b" ", 3)[3])["number"] for data in files for line in data.splitlines())


def _rotated(folder: Path, monkeypatch: pytest.MonkeyPatch, rotations: int, *, seconds: int) -> Any:
    """Return a noisy Pod of the node after rotations, with so many seconds between two."""
    node: Any = runpy.run_path(str(EXAMPLE / "node.py"))

    class Clock(datetime):
        passed = 0

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 1, 31, tzinfo=tz) + timedelta(seconds=cls.passed)

    pod_log = node["PodLog"]
    monkeypatch.setitem(pod_log.rotate.__globals__, "datetime", Clock)
    pod = pod_log(folder, "batch", "noisy-0", 20)
    pod.files = lambda: [*pod.folder.iterdir()]
    for number in range(1, rotations + 1):
        pod.write(number, 0)
        pod.rotate(1, 5)
        Clock.passed += seconds
    return pod


def test_files_that_the_kubelet_rotates_in_one_second_do_not_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = _rotated(tmp_path, monkeypatch, 4, seconds=0)
    assert _lines_of(pod) == list(range(pod.written))


def test_the_node_knows_the_lines_of_the_files_that_the_kubelet_has_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = _rotated(tmp_path, monkeypatch, 7, seconds=1)
    gone = [number for first, after, _ in pod.deleted for number in range(first, after)]
    assert len(pod.deleted) == 3
    assert sorted(_lines_of(pod) + gone) == list(range(pod.written))
