"""examples/health-adapter in real containers: the promises of its README, tested from outside.

The tests share one Pod and run in this order; the last one stops it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.images.support import PATIENCE, docker, inspect, state
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/health-adapter/compose.yaml"
SERVICES = ["pod", "adapter", "tickets", "orders", "monitor", "prometheus"]
# Port 0: the engine chooses a free port, so that tests and other programs do not disturb each other.
PORTS = dict.fromkeys(["HEALTH_PORT", "ADAPTER_ADMIN", "PROMETHEUS_PORT"], "0")


@dataclass
class Kiosk:
    """The Pod and the services around it, as `docker compose up` starts them."""

    project: str
    client: httpx.Client

    def compose(self, *arguments: str | Path) -> str:
        return docker("compose", "--project-name", self.project, "--file", FILE, *arguments, environ=PORTS)

    def container(self, service: str) -> str:
        [found] = self.compose("ps", "--all", "--quiet", service).split()
        return found

    def url(self, service: str, port: int) -> str:
        [published] = inspect(self.container(service))["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return f"http://127.0.0.1:{published['HostPort']}"

    def get(self, path: str, service: str = "pod", port: int = 8081) -> httpx.Response:
        return self.client.get(self.url(service, port) + path)

    def wait_for_status(self, beginning: str) -> str:
        """Wait until the last line of the monitor begins with this text."""

        def last() -> str | None:
            lines = docker("logs", self.container("monitor")).splitlines()
            return lines[-1] if lines and lines[-1].startswith(beginning) else None

        return wait_until(last, f"{beginning} in the log of the monitor", PATIENCE)

    def wait_value(self, query: str, value: str) -> None:
        def found() -> bool:
            try:
                response = self.client.get(
                    f"{self.url('prometheus', 9090)}/api/v1/query", params={"query": query}
                ).json()
            except (httpx.TransportError, ValueError):
                return False
            result = response.get("data", {}).get("result")
            return bool(result) and result[0]["value"][1] == value

        wait_until(found, f"{query} is {value}", PATIENCE)


@pytest.fixture(scope="module")
def kiosk() -> Iterator[Kiosk]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        kiosk = Kiosk(f"sidecars-test-{uuid.uuid4().hex[:8]}", client)
        try:
            kiosk.compose("up", "--build", "--detach", "--quiet-pull")
            kiosk.wait_for_status("200 pass")
            yield kiosk
        except BaseException:
            print(kiosk.compose("ps", "--all"), kiosk.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - what went wrong
            raise
        finally:
            kiosk.compose("down", "--volumes", "--timeout", "5")


def test_health_is_judged_from_the_metrics_of_the_legacy_app(kiosk: Kiosk) -> None:
    response = kiosk.get("/health")

    assert response.status_code == 200
    assert response.text.splitlines()[0] == "pass"
    assert kiosk.get("/status", port=9914).json()["routes"]["/health"]["verdict"]["checks"]["queue"]["value"] == 3


def test_metrics_are_translated_from_the_health_document_of_the_other(kiosk: Kiosk) -> None:
    families = {family.name for family in text_string_to_metric_families(kiosk.get("/metrics").text)}

    assert {"health_up", "health_check_up", "health_check_value"} <= families
    kiosk.wait_value('health_check_up{check="db"}', "1")


def test_the_monitor_is_told_that_the_printer_jams_and_that_it_prints_again(kiosk: Kiosk) -> None:
    kiosk.compose("kill", "-s", "USR1", "tickets")
    assert "printer_up" in kiosk.wait_for_status("503 fail: printer: ")
    kiosk.compose("kill", "-s", "USR1", "tickets")
    kiosk.wait_for_status("200 pass")


def test_health_is_promptly_503_with_a_reason_while_the_app_hangs(kiosk: Kiosk) -> None:
    kiosk.compose("pause", "tickets")
    try:
        assert "did not answer within 750ms" in kiosk.wait_for_status("503 fail: app: ")
    finally:
        kiosk.compose("unpause", "tickets")
    kiosk.wait_for_status("200 pass")


def test_prometheus_has_what_the_other_app_says_of_its_database_and_when_it_is_gone(kiosk: Kiosk) -> None:
    kiosk.compose("kill", "-s", "USR1", "orders")
    kiosk.wait_value('health_check_up{check="db"}', "0")
    kiosk.wait_value("health_up", "0")
    kiosk.wait_value("up", "1")
    kiosk.compose("stop", "orders")
    kiosk.wait_value("up", "0")


def test_every_container_has_a_user_of_its_own_a_read_only_root_and_no_capabilities(kiosk: Kiosk) -> None:
    users = {}
    for service in SERVICES:
        config = inspect(kiosk.container(service))
        assert config["HostConfig"]["ReadonlyRootfs"] is True, service
        assert config["HostConfig"]["CapDrop"] == ["ALL"], service
        users[service] = config["Config"]["User"]
    inside = [users[service] for service in ("pod", "adapter", "tickets", "orders")]
    assert len(set(inside)) == len(inside)
    assert "0:0" not in users.values()


def test_all_of_ours_end_with_0(kiosk: Kiosk) -> None:
    kiosk.compose("stop")

    for service in ("pod", "adapter", "tickets", "monitor"):
        assert state(kiosk.container(service))["ExitCode"] == 0, service
