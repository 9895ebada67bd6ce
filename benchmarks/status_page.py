"""The page of the admin port: its weight, and what an open one costs its sidecar. `python -m benchmarks.status_page`.

- Weight: the bytes of the HTML file as it is sent, and compressed by gzip. The file is the same for all sidecars; a
  sidecar's picture, the status of now and the tables for `<noscript>` come on top, and are printed beside it.
- CPU: the four sidecars run at once under a light load: REQUESTS a second through the ambassador, LINES a second for
  the logshipper, a probe a second for the adapter, and a warcopier that watches its source. A client asks as the page
  does, on one connection: `/status?compact` every 2 s, `/siblings` every 10 s. It is there for SECONDS and absent for
  SECONDS, by turns of TURN. The figure is the difference of the CPU time, all threads of the process, in % of a core.
- The same with as much as users may have: an upstream with 1,000 endpoints, in one process and with two workers; and
  10,000 log files.

A figure is in one process, as plain Python. SECONDS=10 is enough for a first look.
"""

from __future__ import annotations

import compileall
import contextlib
import gzip
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.figures import Figure, conclude
from sidecars.chassis.page import document
from tests.ambassador.nameserver import name_server
from tests.largest_inputs import Peer
from tests.support import ROOT, free_port, wait_until
from tools.names import SIDECARS

SECONDS = float(os.environ.get("SECONDS", "60"))  # with a page, and as many without
TURN = 10.0  # seconds
_PATIENCE = 600.0  # seconds until all is ready, on a busy machine, with 10,000 files
REFRESH, SIBLINGS_EACH = 2.0, 5  # seconds between two questions of the page, and questions for the siblings' one
REQUESTS, LINES, PROBES = 50, 100, 1  # a second
ENDPOINTS, FILES = 1000, 10_000
MOST_CPU = 0.3  # % of a core
MOST_BYTES, MOST_GZIP = 12 * 1024, 5 * 1024
METRICS = b"requests_total 1\n" * 50


class Sidecar:
    """A sidecar as a process, from source."""

    def __init__(self, name: str, admin: int, log: Path, **settings: str) -> None:
        self.admin = admin
        prefix = name.upper()
        given = {f"{prefix}_{key}": value for key, value in settings.items()}
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"sidecars.{name}"],
                env={"PATH": os.environ["PATH"], f"{prefix}_ADMIN_LISTEN": f"127.0.0.1:{admin}", **given},
                stderr=stderr,
            )

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used, those of its workers not included."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # clock_getcpuclockid(3)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.admin}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False


class OpenPage(threading.Thread):
    """A client that asks a sidecar as an open page does, while `is_open` is set."""

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(daemon=True)
        self.is_open = threading.Event()
        self._url = f"http://127.0.0.1:{sidecar.admin}"
        self._client = httpx.Client(trust_env=False, timeout=30, headers={"Accept": "application/json"})
        self.weight = len(self._client.get(self._url, headers={"Accept": "text/html"}).raise_for_status().content)
        self.answer = 0  # bytes
        self.start()

    def run(self) -> None:
        turn = 0
        while True:
            self.is_open.wait()
            self.answer = len(self._client.get(f"{self._url}/status?compact").raise_for_status().content)
            if turn % SIBLINGS_EACH == 0:
                self._client.get(f"{self._url}/siblings").raise_for_status()
            turn += 1
            time.sleep(REFRESH)


def every(seconds: float, work: Callable[[], object], stop: threading.Event) -> None:
    """Do the work in a thread again and again, until `stop` is set."""

    def run() -> None:
        while not stop.wait(seconds):
            with contextlib.suppress(httpx.TransportError):
                work()

    threading.Thread(target=run, daemon=True).start()


@contextlib.contextmanager
def pod(folder: Path, *, large: bool = False) -> Iterator[dict[str, Sidecar]]:
    """Yield sidecars under their load: one of each, or those that have much to show."""
    stop = threading.Event()
    app = Peer(lambda _path, _body: (200, "text/plain", METRICS))
    app_url = f"http://127.0.0.1:{app.port}"
    admin = {name: free_port() for name in (*SIDECARS, "workers")}
    listen, routes = free_port(), free_port()
    logs, artifacts = folder / "logs", folder / "artifacts"
    for made in (logs, artifacts, folder / "webapps", folder / "state"):
        made.mkdir()
    (logs / "0.log").write_bytes(b"the first line\n")
    with zipfile.ZipFile(artifacts / "shop.war", "w") as war:
        war.writestr("WEB-INF/web.xml", "<web-app/>")
    with contextlib.ExitStack() as stack:
        stack.callback(app.close)
        log = stack.enter_context((logs / "0.log").open("ab", buffering=0))
        upstream = app_url
        names: dict[str, str] = {}
        if large:
            zone = stack.enter_context(name_server())
            zone.set_records("orders.example", *(f"127.1.{k >> 8}.{k & 255}" for k in range(ENDPOINTS)), ttl=30)
            resolv_conf = folder / "resolv.conf"
            resolv_conf.write_text(f"nameserver 127.0.0.1:{zone.port}\noptions timeout:20\n")
            names = {"RESOLV_CONF": str(resolv_conf), "EJECT_FOR": "1h"}
            upstream = f"http://orders.example:{app.port}"
            for number in range(FILES):
                (logs / f"{number}.log").write_bytes(b"a line of file %d\n" % number)
        siblings = ",".join(f"{name}={admin[name]}" for name in SIDECARS)
        settings = {
            "ambassador": {"UPSTREAM": upstream, "LISTEN": f"127.0.0.1:{listen}", **names},
            "logshipper": {"PATHS": f"{logs}/*.log", "SINK": f"{app_url}/", "STATE_DIR": str(folder / "state")},
            "adapter": {"TARGET": app_url, "LISTEN": f"127.0.0.1:{routes}", "ROUTES": "/health=/metrics"},
            "warcopier": {"WATCH": "true", "SOURCE": str(artifacts), "TARGET": str(folder / "webapps")},
        }
        if large:
            settings = {"ambassador": settings["ambassador"], "logshipper": settings["logshipper"]}
        started = {
            name: Sidecar(name, admin[name], folder / f"{name}.log", ADMIN_SIBLINGS=siblings, **given)
            for name, given in settings.items()
        }
        if large:
            given = {**settings["ambassador"], "LISTEN": f"127.0.0.1:{free_port()}", "WORKERS": "2"}
            started["workers"] = Sidecar("ambassador", admin["workers"], folder / "workers.log", **given)
        for sidecar in started.values():
            stack.callback(sidecar.process.wait)
            stack.callback(sidecar.process.terminate)  # a supervisor ends its workers
        stack.callback(stop.set)
        for sidecar in started.values():
            wait_until(sidecar.is_ready, f"ready: {sidecar.process.args!r}", _PATIENCE)
        client = httpx.Client(trust_env=False, timeout=30)
        every(1 / REQUESTS, lambda: client.get(f"http://127.0.0.1:{listen}/"), stop)
        every(0.1, lambda: log.write(b"2026-01-01 00:00:00 INFO some words\n" * (LINES // 10)), stop)
        if not large:
            every(1 / PROBES, lambda: client.get(f"http://127.0.0.1:{routes}/health"), stop)
        time.sleep(TURN)  # 10,000 files are found, and lines flow
        yield started


def cost(started: dict[str, Sidecar]) -> dict[str, tuple[float, float, OpenPage]]:
    """Return of each sidecar the % of a core that an open page adds, the % without it, and the page."""
    pages = {name: OpenPage(sidecar) for name, sidecar in started.items()}
    used = {name: {True: 0.0, False: 0.0} for name in started}
    passed = {True: 0.0, False: 0.0}
    while passed[False] < SECONDS:
        for is_open in (True, False):
            for page in pages.values():
                (page.is_open.set if is_open else page.is_open.clear)()
            time.sleep(REFRESH)  # the last answer before a change belongs to what was before
            before, began = {name: sidecar.cpu() for name, sidecar in started.items()}, time.monotonic()
            time.sleep(min(TURN, SECONDS))
            passed[is_open] += time.monotonic() - began
            for name, sidecar in started.items():
                used[name][is_open] += sidecar.cpu() - before[name]
    found = {}
    for name, page in pages.items():
        with_page, without = (100 * used[name][is_open] / passed[is_open] for is_open in (True, False))
        found[name] = (with_page - without, without, page)
    return found


def weights() -> list[Figure]:
    file = document.template().encode()
    return [
        Figure("the HTML file", len(file), MOST_BYTES, "B"),
        Figure("the HTML file, gzip", len(gzip.compress(file, 9)), MOST_GZIP, "B"),
    ]


def figures(label: str, found: dict[str, tuple[float, float, OpenPage]]) -> Iterator[Figure]:
    for name, (added, without, page) in found.items():
        note = f"{without:.2f} % without; page {page.weight / 1024:.1f} KiB, then {page.answer / 1024:.1f} KiB"
        print(f"{name}{label}: {added:.3f} % of a core, {note}", flush=True)
        yield Figure(f"{name}{label}", added, MOST_CPU, "%", note=note)


def main() -> int:
    compileall.compile_dir(ROOT / "sidecars", quiet=1)  # a confined process writes no bytecode
    found = weights()
    for label, large in (("", False), (f", {ENDPOINTS:,} endpoints or {FILES:,} files", True)):
        with tempfile.TemporaryDirectory() as folder, pod(Path(folder), large=large) as started:
            found += figures(label, cost(started))
    return conclude("status_page", found)


if __name__ == "__main__":
    sys.exit(main())
