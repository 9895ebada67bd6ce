"""A real Prometheus loads the rules, scrapes a real sidecar by our configuration, and one alert fires."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

import yaml

from tests.adapter.prometheus import Prometheus, serving
from tests.support import ROOT, peer, wait_until
from tools.monitoring.alerts.groups import ALERTS
from tools.monitoring.exposed import Sidecar, running

FOLDER = ROOT / "deploy" / "monitoring"
DISCOVERED = {
    "pod_container_name": "logshipper",
    "pod_container_port_name": "adm-logshipper",
    "pod_name": "web-1",
    "pod_phase": "Running",
    "namespace": "shop",
}
"""What service discovery says of a target, for the relabelling of the configuration to work on."""


def configuration(address: str, others: list[str]) -> dict[str, Any]:
    """Return our configuration with these targets instead of service discovery, which Debian's Prometheus lacks."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    del job["kubernetes_sd_configs"]
    labels = {f"__meta_kubernetes_{name}": value for name, value in DISCOVERED.items()}
    job["static_configs"] = [
        {"targets": [address], "labels": labels},
        {"targets": others, "labels": {**labels, "__meta_kubernetes_pod_container_port_name": "http"}},
        {"targets": others, "labels": {**labels, "__meta_kubernetes_pod_phase": "Succeeded"}},
    ]
    return config | {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yaml")],
    }


@contextmanager
def scraped(folder: Path, logs: Path) -> Iterator[tuple[Sidecar, Prometheus]]:
    """Run a logshipper that cuts long lines, and a Prometheus that scrapes it."""
    environ = {
        "LOGSHIPPER_PATHS": f"{logs}/*.log",
        "LOGSHIPPER_SINK": "stdout:",
        "LOGSHIPPER_STATE_DIR": str(folder / "state"),
        "LOGSHIPPER_MAX_LINE_SIZE": "1KiB",
        "LOGSHIPPER_LONG_LINES": "cut",
    }
    with running("logshipper", folder / "run", **environ) as sidecar:
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(sidecar.admin, ["127.0.0.1:1"])))
        with serving(folder, folder / "data") as prometheus:
            yield sidecar, prometheus


def test_lines_that_are_lost_let_the_alert_fire_with_the_pod_in_its_labels(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "app.log").write_text("short\n")

    def found(prometheus: Prometheus, expression: str) -> list[dict[str, str]] | None:
        series = prometheus.query(expression, time())
        assert isinstance(series, list), series
        return [dict(labels) for labels, _ in series] or None

    with scraped(tmp_path, logs) as (_, prometheus):
        # The counter must have been seen at zero: only then is what follows an increase.
        none = 'logshipper_dropped_bytes_total{reason="cut"} == 0'
        (first,) = wait_until(lambda: found(prometheus, none), "a scrape before the loss")
        assert {name: first[name] for name in ("namespace", "pod", "container", "job")} == {
            "namespace": "shop",
            "pod": "web-1",
            "container": "logshipper",
            "job": "sidecars",
        }
        firing = 'ALERTS{alertname="LogshipperLinesLost", alertstate="firing"}'
        assert found(prometheus, firing) is None

        with (logs / "app.log").open("a") as log:
            log.write("x" * 5000 + "\n")

        (alert,) = wait_until(lambda: found(prometheus, firing), "the alert fires")
        assert (alert["namespace"], alert["pod"], alert["reason"]) == ("shop", "web-1", "cut")
        assert alert["severity"] == "critical"
        # Other ports of the Pod, and Pods that have ended, are no targets.
        assert found(prometheus, "up{}") == [
            {"__name__": "up", "container": "logshipper", "instance": first["instance"]}
            | {"job": "sidecars", "namespace": "shop", "pod": "web-1"}
        ]


def test_the_page_on_monitoring_has_the_command_that_puts_the_address_of_the_docs_into_the_alerts(
    tmp_path: Path,
) -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    (command,) = re.findall(r"^sed -i .*$", page, re.MULTILINE)
    shutil.copy(FOLDER / "alerts.yaml", tmp_path)

    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True)

    rules = (tmp_path / "alerts.yaml").read_text()
    assert rules.count("https://docs.example.com/sidecars/troubleshooting.md#") == len(ALERTS)
    assert "sidecars.invalid" not in rules
    subprocess.run([peer("promtool"), "check", "rules", "alerts.yaml"], cwd=tmp_path, check=True, capture_output=True)
