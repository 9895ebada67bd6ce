"""The metrics that the sidecars really expose: each is run as a process, gets a little work, and its page is read.

All listen on loopback and on ports that the system chooses; their logs have them. So two runs never meet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0  # seconds; a busy machine is no failure
_PAGE = b"# TYPE queue_length gauge\nqueue_length 3\n"
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}

T = TypeVar("T")


@dataclass(slots=True)
class Family:
    """One metric: its type, its help, the sidecars that have it, and for each label the values that were seen."""

    name: str
    type: str
    help: str
    labels: dict[str, set[str]] = field(default_factory=dict)
    of: set[str] = field(default_factory=set)

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series, as queries have them."""
        return tuple(self.name + suffix for suffix in _SUFFIXES.get(self.type, ("",)))


class _App(BaseHTTPRequestHandler):
    """The app behind the ambassador and the adapter: a page of metrics for each request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that runs. `running` makes it and ends it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def logged(self, msg: str) -> Mapping[str, object]:
        """Wait for a line of the log, and return its fields."""

        def found() -> Mapping[str, object] | None:
            whole = self.log.read_text().rpartition("\n")[0]
            lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
            return next((line for line in lines if line["msg"] == msg), None)

        return self._wait(found, f"the line {msg!r}")

    @property
    def admin(self) -> str:
        """The address of the admin port."""
        return str(self.logged("admin endpoints answer")["address"])

    def page(self, *needed: str) -> str:
        """Return `/metrics` once each of these texts is on it."""

        def found() -> str | None:
            text = get(f"http://{self.admin}/metrics")
            return text if all(one in text for one in needed) else None

        return self._wait(found, f"{needed} on /metrics")

    def _wait(self, condition: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + PATIENCE
        while True:
            value = condition()
            if value is not None:
                return value
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {what} did not come:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)


def get(url: str) -> str:
    """Return the body of a response on loopback, whatever proxy the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE) as response:
        text: str = response.read().decode()
    return text


@contextmanager
def app() -> Iterator[str]:
    """Serve the app while the context is open; the value is its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(name: str, folder: Path, **environ: str) -> Iterator[Sidecar]:
    """Run a sidecar from source while the context is open, with these settings and an admin port on loopback."""
    prefix = name.upper()
    folder.mkdir(parents=True)
    log = folder / "log"
    settings = {f"{prefix}_ADMIN_LISTEN": "127.0.0.1:0", f"{prefix}_LOG_FORMAT": "json", **environ}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", f"sidecars.{name}"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        yield Sidecar(name, process, log)
    finally:
        process.kill()
        process.wait()


def settings_of_all(folder: Path, upstream: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what is run, by a name of its own: the sidecar and its settings. Makes the files that they need."""
    for one in ("logs", "artifacts", "webapps"):
        (folder / one).mkdir()
    (folder / "logs" / "app.log").write_text("started\n")
    (folder / "rules").write_text("queue: queue_length < 10\n")
    with zipfile.ZipFile(folder / "artifacts" / "shop.war", "w") as war:
        war.writestr("WEB-INF/web.xml", "<web-app/>")
    ambassador = {"AMBASSADOR_UPSTREAM": upstream, "AMBASSADOR_LISTEN": "127.0.0.1:0"}
    return {
        "ambassador": (
            "ambassador",
            {**ambassador, "AMBASSADOR_TRACES": "on", "AMBASSADOR_TRACES_ENDPOINT": upstream},
        ),
        "workers": ("ambassador", {**ambassador, "AMBASSADOR_WORKERS": "2"}),
        "adapter": (
            "adapter",
            {
                "ADAPTER_TARGET": upstream,
                "ADAPTER_LISTEN": "127.0.0.1:0",
                "ADAPTER_MODE": "verdict",
                "ADAPTER_RULES_FILE": str(folder / "rules"),
            },
        ),
        "logshipper": (
            "logshipper",
            {
                "LOGSHIPPER_PATHS": f"{folder}/logs/*.log",
                "LOGSHIPPER_SINK": "stdout:",
                "LOGSHIPPER_FORMAT": "json",
                "LOGSHIPPER_COUNT": "errors=/ERROR/",
                "LOGSHIPPER_STATE_DIR": str(folder / "state"),
                "LOGSHIPPER_BATCH_TIMEOUT": "100ms",
            },
        ),
        "warcopier": (
            "warcopier",
            {
                "WARCOPIER_SOURCE": str(folder / "artifacts"),
                "WARCOPIER_TARGET": str(folder / "webapps"),
                "WARCOPIER_WATCH": "true",
            },
        ),
        "limits": (
            "ambassador",
            {
                "AMBASSADOR_ORDERS_UPSTREAM": upstream,
                "AMBASSADOR_ORDERS_LISTEN": "127.0.0.1:0",
                "AMBASSADOR_ORDERS_MAX_REQUESTS": "10",
                "AMBASSADOR_ORDERS_RATE_LIMIT": "1000/s",
                "AMBASSADOR_ORDERS_HEDGE_AFTER": "p95",
                "AMBASSADOR_ORDERS_MIRROR": "shadow 100%",
                "AMBASSADOR_SHADOW_UPSTREAM": upstream,
                "AMBASSADOR_SHADOW_LISTEN": f"unix:{folder}/shadow.sock",
            },
        ),
    }


_NEEDED = {
    "ambassador": ('ambassador_requests_total{code="200",upstream="default"} 1.0', "ambassador_endpoint_healthy{"),
    "workers": ("ambassador_workers 2.0", "ambassador_endpoint_healthy{", "sidecar_ready 1.0"),
    "adapter": ("adapter_rule_value{", "adapter_up{"),
    "logshipper": ('logshipper_delivered_lines_total{sink="default"} 1.0',),
    "warcopier": ("warcopier_artifact_info{",),
    "limits": ("ambassador_upstream_concurrency_limit{", "ambassador_mirror_copies_total{", "sidecar_ready 1.0"),
}
# Further ambassadors: they have metrics that need a setting.
FURTHER = frozenset({"workers", "limits"})


def pages() -> dict[str, str]:
    """Run all sidecars, give each a little to do, and return their pages."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidecars-metrics-")))
        wanted = settings_of_all(folder, stack.enter_context(app()))
        started = {
            key: stack.enter_context(running(name, folder / "run" / key, **environ))
            for key, (name, environ) in wanted.items()
        }
        get(f"http://{started['adapter'].logged('listening')['address']}/health")
        get(f"http://{started['ambassador'].logged('listening')['address']}/")
        return {key: one.page(*_NEEDED[key]) for key, one in started.items()}


def families(texts: Mapping[str, str]) -> dict[str, Family]:
    """Return the metrics of these pages, by name. The pages of FURTHER are the ambassador's, too."""
    found: dict[str, Family] = {}
    for key, text in texts.items():
        for metric in text_string_to_metric_families(text):
            if metric.name.endswith("_created"):
                continue
            family = found.setdefault(metric.name, Family(metric.name, metric.type, metric.documentation))
            family.of.add("ambassador" if key in FURTHER else key)
            for sample in metric.samples:
                for label, value in sample.labels.items():
                    if label != "le":
                        family.labels.setdefault(label, set()).add(value)
    return found
