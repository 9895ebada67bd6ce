"""examples/hot-redeploy with a real Tomcat: the WAR is swapped under load, and only Tomcat's own reload is noticed."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.images.support import PATIENCE, docker, inspect, run, state
from tests.support import ROOT, get, wait_until
from tools.names import EXAMPLES

pytestmark = pytest.mark.engine

EXAMPLE = ROOT / "examples/hot-redeploy"
CLIENTS = 4
_GONE = {404, 503}  # Tomcat has no such context, or one that is stopping or starting
_SLACK = 2.0  # seconds between a line in Tomcat's log and its effect for a client, on a busy machine


@dataclass
class Exchange:
    """One request: its times in seconds, and the status and text of its response."""

    begun: float
    ended: float
    status: int
    text: str


@dataclass
class Pod:
    """The Pod of the example, as `docker compose up` starts it, and its WARs."""

    project: str
    artifacts: Path
    client: httpx.Client
    unpack: bool
    url: str = ""
    seen: list[Exchange] = field(default_factory=list)

    def compose(self, *arguments: str) -> str:
        environ = {
            "APP_PORT": "0",
            "WARCOPIER_ADMIN": "0",
            "ARTIFACTS": str(self.artifacts),
            "UNPACK": "true" if self.unpack else "false",
        }
        file = EXAMPLE / "compose.yaml"
        return docker("compose", "--project-name", self.project, "--file", file, *arguments, environ=environ)

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def port(self, port: int) -> str:
        bindings = inspect(self.container("pod"))["NetworkSettings"]["Ports"]
        return f"http://127.0.0.1:{bindings[f'{port}/tcp'][0]['HostPort']}"

    def pack(self, version: int, name: str = "shop.war") -> None:
        subprocess.run([sys.executable, EXAMPLE / "pack.py", str(version), self.artifacts / name], check=True)

    def ask(self) -> Exchange:
        begun = time.time()
        response = self.client.get(f"{self.url}/shop/")
        return Exchange(begun, time.time(), response.status_code, response.text.strip())

    def wait_version(self, version: int) -> None:
        wait_until(lambda: self.ask().text == f"version {version}", f"version {version}", PATIENCE)

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send requests from several clients, one after another, during the context. Keep every exchange."""
        over = threading.Event()
        self.seen.clear()

        def keep_asking() -> None:
            while not over.is_set():
                self.seen.append(self.ask())

        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(keep_asking) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                over.set()
            for client in asking:
                client.result()  # a connection that was refused or cut is a failure

    def tomcat_log_times(self, pattern: str) -> list[float]:
        """Return the times at which Tomcat logged a line with this pattern, from the log of the engine."""
        output = run("docker", "logs", "--timestamps", self.container("tomcat"))
        lines = [line for line in (output.stdout + output.stderr).splitlines() if re.search(pattern, line)]
        return [datetime.fromisoformat(f"{line[:26]}Z").timestamp() for line in lines]


Start = Callable[..., Pod]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    pods: list[Pod] = []
    tmp_path.chmod(0o755)

    def begin(*, unpack: bool = False) -> Pod:
        pod = Pod(
            f"hot-{uuid.uuid4().hex[:8]}", tmp_path / "artifacts", httpx.Client(trust_env=False, timeout=60), unpack
        )
        pods.append(pod)
        pod.pack(1)
        for place in (tmp_path, *tmp_path.parents):  # user 64911 must be able to enter it
            if place.stat().st_mode & 0o005 != 0o005:
                place.chmod(0o755)
        pod.compose("up", "--detach", "--quiet-pull")
        pod.url = pod.port(8080)

        def served() -> bool:
            try:
                return pod.ask().text == "version 1"
            except httpx.TransportError:
                return False

        wait_until(served, "version 1", PATIENCE)
        return pod

    try:
        yield begin
    except BaseException:
        for pod in pods:
            print(pod.compose("ps", "--all"), pod.compose("logs", "--no-color", "--tail", "60"))  # noqa: T201 - what went wrong
        raise
    finally:
        for pod in pods:
            pod.compose("down", "--volumes", "--timeout", "5")
            pod.client.close()


def test_a_swapped_war_is_redeployed_and_no_request_fails_but_while_tomcat_itself_has_none(start: Start) -> None:
    pod = start()
    for version in (2, 3):
        with pod.load():
            pod.pack(version)
            pod.wait_version(version)
        gone = pod.tomcat_log_times(r"Undeploying context \[/shop\]")
        back = pod.tomcat_log_times(r"Deployment of web application archive .*shop\.war.* has finished")
        assert len(gone) == version - 1, "one redeployment for one change"
        assert {seen.status for seen in pod.seen} <= {200, *_GONE}
        texts = {seen.text for seen in pod.seen if seen.status == 200}
        assert texts == {f"version {version - 1}", f"version {version}"}
        for seen in pod.seen:
            if seen.status in _GONE:
                assert gone[-1] - _SLACK < seen.ended, "not before Tomcat has undeployed it"
                assert seen.begun < back[-1] + _SLACK, "nor once it is deployed again"
    metrics = text_string_to_metric_families(get(f"{pod.port(9911)}/metrics").text)
    values = {sample.name: sample.value for family in metrics for sample in family.samples}
    assert values["warcopier_published_total"] == 3


def test_a_new_version_beside_the_old_one_is_served_without_a_single_failed_request(start: Start) -> None:
    pod = start()
    with pod.load():
        pod.pack(2, "shop##2.war")
        pod.wait_version(2)
    assert {seen.status for seen in pod.seen} == {200}
    assert pod.tomcat_log_times("Deployment of web application archive .*shop##2.war.* has finished")


def test_an_unpacked_directory_is_accepted_as_it_is_and_reloaded_without_a_failed_request(start: Start) -> None:
    pod = start(unpack=True)
    assert len(pod.tomcat_log_times("Deploying web application directory .*/shop")) == 1
    with pod.load():
        pod.pack(2)
        pod.wait_version(2)
    assert {seen.status for seen in pod.seen} == {200}
    assert len(pod.tomcat_log_times(r"Reloading Context with name \[/shop\] is completed")) == 1
    assert pod.tomcat_log_times("Undeploying context") == []
    assert len(pod.tomcat_log_times("Deploying web application")) == 1, "neither unpacked nor deployed a second time"


def test_a_broken_war_never_reaches_tomcat_and_the_sidecar_says_why(start: Start) -> None:
    pod = start()
    with pod.load():
        (pod.artifacts / "shop.war").write_bytes((pod.artifacts / "shop.war").read_bytes()[:300])
        page = f"{pod.port(9911)}/status"
        wait_until(lambda: "cut short" in get(page).json()["last_failure"], "refused", PATIENCE)
    assert {(seen.status, seen.text) for seen in pod.seen} == {(200, "version 1")}
    assert pod.tomcat_log_times("Undeploying context") == []


BRINGS_ITS_OWN = """
services:
  warcopier:
    image: COPIER
    volumes: !override ["webapps:/webapps"]
"""


def test_a_new_image_of_the_copier_publishes_the_war_that_it_brings_and_tomcat_is_not_restarted(
    start: Start, tmp_path: Path
) -> None:
    """A container of the new image replaces the old one, on the same volume, as after `kubectl set image`."""
    pod = start()
    tomcat = state(pod.container("tomcat"))["StartedAt"]
    for version in (2, 3):
        image = f"{EXAMPLES}/hot-redeploy-war-test:{version}"
        docker("build", "--quiet", "--build-arg", f"VERSION={version}", "--tag", image, EXAMPLE)
        override = tmp_path / f"{version}.yaml"
        override.write_text(BRINGS_ITS_OWN.replace("COPIER", image))
        pod.compose("--file", str(override), "up", "--detach", "--no-deps", "warcopier")
        pod.wait_version(version)
    assert state(pod.container("tomcat"))["StartedAt"] == tomcat


def test_the_sidecar_ends_with_0_and_a_second_start_changes_nothing(start: Start) -> None:
    pod = start()
    container = pod.container("warcopier")
    docker("stop", container)  # SIGTERM, and SIGKILL (137) after the grace period
    assert state(container)["ExitCode"] == 0
    docker("start", container)
    wait_until(lambda: "nothing to do: 1 unchanged" in pod.compose("logs", "warcopier"), "a second run", PATIENCE)
    assert pod.ask().text == "version 1"
    assert pod.tomcat_log_times("Undeploying context") == []
