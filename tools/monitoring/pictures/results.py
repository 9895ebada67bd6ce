"""A Prometheus with the sample data, on loopback, and the results of a dashboard's queries."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.monitoring.exposed import PATIENCE, get
from tools.monitoring.pictures.sample_data import BEGIN, MINUTES

STEP = 240  # seconds between two points of a line
END = BEGIN + 60 * MINUTES
_VARIABLES = {"$__rate_interval": "5m", "$__interval": "4m", "$namespace": ".+", "$pod": ".+"}


class MissingProgram(RuntimeError):
    """Debian's package `prometheus` is not installed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a result: its labels, and its values at each step; None where it has none."""

    labels: dict[str, str]
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Results:
    """A client of the Prometheus. Queries may have Grafana's variables."""

    address: str

    def over_time(self, expression: str) -> list[Line]:
        """Return the values of the three hours."""
        found = self._get("query_range", query=_filled(expression), start=BEGIN, end=END, step=STEP)
        times = range(BEGIN, END + 1, STEP)
        lines = []
        for series in found:
            known = {int(at): float(value) for at, value in series["values"]}
            lines.append(Line(series["metric"], [known.get(at) for at in times]))
        return lines

    def now(self, expression: str) -> list[Line]:
        """Return the values at the end of the three hours."""
        found = self._get("query", query=_filled(expression), time=END)
        return [Line(series["metric"], [float(series["value"][1])]) for series in found]

    def _get(self, kind: str, **parameters: object) -> list[Any]:
        answer = json.loads(get(f"http://{self.address}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}"))
        found: list[Any] = answer["data"]["result"]
        return sorted(found, key=lambda series: json.dumps(series["metric"], sort_keys=True))


def _filled(expression: str) -> str:
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


@contextmanager
def prometheus(samples: str, folder: Path) -> Iterator[Results]:
    """Run a Prometheus with these samples (OpenMetrics) while the context is open. Raises MissingProgram."""
    promtool, server = shutil.which("promtool"), shutil.which("prometheus")
    if not promtool or not server:
        raise MissingProgram("promtool and prometheus are needed: apt-get install prometheus")
    (folder / "samples").write_text(samples)
    (folder / "prometheus.yml").write_text("{}")
    make = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples"), str(folder / "data")]
    subprocess.run(make, check=True, capture_output=True)
    command = [server, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += ["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0", "--log.format=json"]
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        yield Results(_address(process, log))
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server is ready, and return its address."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        lines = [json.loads(line) for line in log.read_text().split("\n")[:-1] if line.startswith("{")]
        said = {str(line.get("msg")): line for line in lines}
        if "Server is ready to receive web requests." in said and "Listening on" in said:
            return str(said["Listening on"]["address"])
        time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
