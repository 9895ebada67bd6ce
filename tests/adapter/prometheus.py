"""A real Prometheus with the samples of a test, or with scrape targets: the oracle of the rule language."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time as now
from typing import Any

import httpx

from tests.support import PATIENCE, free_port, peer, wait_until

Page = Sequence[tuple[str, float]]
"""Series in the notation `name{label="value"}`, and their values."""


@dataclass(frozen=True)
class Prometheus:
    """A client of a running Prometheus."""

    client: httpx.Client

    def jobs(self, selector: str, at_least: Iterable[str]) -> set[str]:
        """Return the jobs of the selected series of the last hour. Waits until `at_least` are among them.

        One scrape may be too slow.
        """
        wanted = set(at_least)

        def found() -> set[str] | None:
            series = self.query(f"max_over_time({selector}[1h])", now())
            jobs = {labels["job"] for labels, _ in series} if isinstance(series, list) else set[str]()
            return jobs if jobs >= wanted else None

        return wait_until(found, f"{selector} of {sorted(wanted)}")

    def query(self, expression: str, time: float) -> list[tuple[Mapping[str, str], float]] | float | str:
        """Evaluate an instant query. Return a vector as labels and values, a scalar, or the error's text."""
        parameters = urllib.parse.urlencode({"query": expression, "time": f"{time:.3f}"})
        response = json.loads(self.client.get(f"/api/v1/query?{parameters}").content)
        if response["status"] != "success":
            return str(response["error"])
        found: Any = response["data"]["result"]
        if response["data"]["resultType"] == "scalar":
            return float(found[1])
        return [(one["metric"], float(one["value"][1])) for one in found]


@contextmanager
def prometheus(folder: Path, scrapes: Mapping[float, Page]) -> Iterator[Prometheus]:
    """Start Prometheus with these samples, by their time in Unix seconds (whole milliseconds)."""
    lines: dict[str, list[str]] = {}
    for time, page in scrapes.items():
        for series, value in page:
            lines.setdefault(series, []).append(f"{series} {value!r} {time:.3f}\n")
    by_name: dict[str, list[str]] = {}
    for series, samples in lines.items():
        by_name.setdefault(series.partition("{")[0], []).extend(samples)
    text = "".join(f"# TYPE {name} gauge\n{''.join(samples)}" for name, samples in by_name.items()) + "# EOF\n"
    (folder / "samples").write_text(text)
    (folder / "prometheus.yml").write_text("{}")
    data = folder / "data"
    command = [peer("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples"), str(data)]
    subprocess.run(command, check=True, capture_output=True)
    with serving(folder, data) as server:
        yield server


@contextmanager
def serving(folder: Path, data: Path, *options: str) -> Iterator[Prometheus]:
    """Start Prometheus with the configuration in the folder, this data and options. Waits until it is ready."""
    port = free_port()
    process = subprocess.Popen(
        [
            peer("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client:

            def ready() -> bool:
                try:
                    return client.get("/-/ready").status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            wait_until(ready, "Prometheus is ready")
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def scraping(folder: Path, targets: Mapping[str, tuple[int, str]]) -> Iterator[Prometheus]:
    """Start Prometheus with one job for each of these ports and paths of loopback. Waits until each was scraped."""
    jobs = "".join(
        f"  - job_name: '{name}'\n    metrics_path: '{path}'\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        for name, (port, path) in targets.items()
    )
    config = f"global: {{scrape_interval: 3s, scrape_timeout: 3s}}\nscrape_configs:\n{jobs}"
    (folder / "prometheus.yml").write_text(config)
    with serving(folder, folder / "data") as server:
        server.jobs("up", targets)
        yield server
