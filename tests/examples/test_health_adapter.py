"""The twin of examples/health-adapter: its apps, its monitor and the settings of its pod.yaml, on loopback.

A laptop has no Pod: ports are free ones, and Prometheus is Debian's package. Everything else is as in the example.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import Start
from tests.support import PATIENCE, ROOT, free_port, peer, wait_until

EXAMPLE = ROOT / "examples" / "health-adapter"


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text()))


def environment() -> dict[str, str]:
    """Return the variables of the adapter in pod.yaml, unchanged."""
    [container] = documents()[0]["spec"]["initContainers"]
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


class Pod:
    """The processes of the example, and the address of the adapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"tickets": free_port(), "orders": free_port()}
        self.health, self.admin, self.prometheus = free_port(), free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, *command: str, **environ: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            self.processes[name] = subprocess.Popen(
                command, env={"PATH": os.environ["PATH"], **environ}, stdout=out, stderr=err
            )

    def begin_script(self, name: str, **environ: str) -> None:
        self.begin(name, sys.executable, "-I", str(EXAMPLE / f"{name}.py"), **environ)

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def told(self) -> list[str]:
        """Return the lines that the monitor has printed."""
        return (self.folder / "monitor.out").read_text().splitlines()

    def wait_for_status(self, beginning: str) -> str:
        wait_until(lambda: (self.told() or [""])[-1].startswith(beginning), f"the monitor is told {beginning}")
        return self.told()[-1]

    def value(self, query: str) -> str | None:
        """Return the value of a query from Prometheus; None if it has none."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/query"
        try:
            result = httpx.get(url, params={"query": query}, trust_env=False, timeout=PATIENCE).json()["data"]["result"]
        except (httpx.TransportError, ValueError, KeyError):
            return None
        return str(result[0]["value"][1]) if result else None

    def end(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            process.wait(30)


@pytest.fixture
def pod(tmp_path: Path, start: Start) -> Iterator[Pod]:
    """Start the two apps, and the adapter with the settings of pod.yaml."""
    pod = Pod(tmp_path)
    try:
        for name, port in pod.ports.items():
            pod.begin_script(name, PORT=str(port))
        environ = environment()
        assert environ["ADAPTER_TICKETS_TARGET"] == "http://127.0.0.1:8080"
        assert environ["ADAPTER_ORDERS_TARGET"] == "http://127.0.0.1:8090"
        environ |= {f"ADAPTER_{name.upper()}_TARGET": f"http://127.0.0.1:{port}" for name, port in pod.ports.items()}
        environ |= {"ADAPTER_LISTEN": f"127.0.0.1:{pod.health}", "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{pod.admin}"}
        start("adapter", **environ).wait_ready(pod.admin)
        yield pod
    finally:
        pod.end()


def test_a_monitor_that_only_asks_for_health_is_told_of_an_app_that_has_only_metrics(pod: Pod) -> None:
    pod.begin_script("monitor", MONITOR_URL=f"http://127.0.0.1:{pod.health}/health")
    pod.wait_for_status("200 pass")

    pod.signal("tickets", signal.SIGUSR1)
    assert "printer_up" in pod.wait_for_status("503 fail: printer: ")
    pod.signal("tickets", signal.SIGUSR1)
    pod.wait_for_status("200 pass")

    pod.signal("tickets", signal.SIGSTOP)
    assert "did not answer within 750ms" in pod.wait_for_status("503 fail: app: ")
    pod.signal("tickets", signal.SIGCONT)
    pod.wait_for_status("200 pass")


def test_a_prometheus_scrapes_an_app_that_has_only_a_health_document(pod: Pod) -> None:
    prometheus = peer("prometheus")
    config = (EXAMPLE / "prometheus.yml").read_text()
    assert "kiosk:8081" in config
    (pod.folder / "prometheus.yml").write_text(config.replace("kiosk:8081", f"127.0.0.1:{pod.health}"))
    pod.begin(
        "prometheus",
        prometheus,
        f"--config.file={pod.folder}/prometheus.yml",
        f"--storage.tsdb.path={pod.folder}/data",
        f"--web.listen-address=127.0.0.1:{pod.prometheus}",
    )
    wait_until(lambda: pod.value('health_check_up{check="db"}') == "1", "a scrape")
    assert pod.value('health_check_value{check="diskSpace",name="free"}') == "91300069376"

    pod.signal("orders", signal.SIGUSR1)
    wait_until(lambda: pod.value('health_check_up{check="db"}') == "0", "the database is away")
    assert pod.value("health_up") == "0"
    assert pod.value("up") == "1"

    pod.processes["orders"].kill()
    wait_until(lambda: pod.value("up") == "0", "the app is away")


def test_the_config_of_prometheus_in_the_manifest_is_the_file() -> None:
    [config] = [item for item in documents() if item["kind"] == "ConfigMap"]

    assert config["data"]["prometheus.yml"] == (EXAMPLE / "prometheus.yml").read_text()


def test_compose_and_the_manifest_give_the_adapter_the_same_settings() -> None:
    compose = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())

    given = compose["services"]["adapter"]["environment"]
    assert given.pop("ADAPTER_ADMIN_STATUS") == "any"  # the engine publishes the port; Kubernetes forwards to loopback
    assert given == environment()
