"""A Pod with traffic and faults: the four sidecars as processes, for a minute or so, and what goes wrong meanwhile.

ambassador   two upstreams; one of three replicas begins to fail, and is ejected
logshipper   two files and two storages; one storage goes down, and its bytes wait
adapter      four rules; the heap grows over its limit, which is a warning
warcopier    two WARs, of which one gets a new version, and a third that is cut off and refused
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tools.monitoring.exposed import running
from tools.screens import neighbours
from tools.screens.neighbours import busy, serving
from tools.screens.record import SIDECARS

MINUTE = 66.0  # seconds: the page's sparklines show the last minute
_FAULTS_AFTER = 25.0  # seconds; the cut-off WAR comes later than the new version, which it would keep from publication
_RULES = """\
queue: queue_length < 100
heap: heap_used_ratio < 0.8 warn
databases: min(db_up) == 1
workers: workers_busy < 16
"""


@contextmanager
def pod(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run the Pod while the context is open. Yield the URL of each sidecar's page. The faults come by themselves."""
    with ExitStack() as stack:
        admin = {name: _free_port() for name in SIDECARS}
        for name, settings in _settings(stack, folder).items():
            others = ",".join(f"{other}={port}" for other, port in admin.items() if other != name)
            own = {"ADMIN_LISTEN": f"127.0.0.1:{admin[name]}", "ADMIN_SIBLINGS": others}
            prefixed = {f"{name.upper()}_{suffix}": value for suffix, value in {**own, **settings}.items()}
            stack.enter_context(running(name, folder / "run" / name, **prefixed)).logged("admin endpoints answer")
        yield {name: f"http://127.0.0.1:{port}/" for name, port in admin.items()}


def _settings(stack: ExitStack, folder: Path) -> dict[str, dict[str, str]]:
    """Start the neighbours, and return the settings of each sidecar without its prefix."""
    return {
        "ambassador": _ambassador(stack),
        "logshipper": _logshipper(stack, folder),
        "adapter": _adapter(stack, folder),
        "warcopier": _warcopier(stack, folder),
    }


def _ambassador(stack: ExitStack) -> dict[str, str]:
    replicas = [stack.enter_context(serving(neighbours.replica(took))) for took in (6, 9, 12)]
    payments = stack.enter_context(serving(neighbours.replica(40)))
    orders_port, payments_port = _free_port(), _free_port()
    client = stack.enter_context(httpx.Client(trust_env=False, timeout=10))
    stack.enter_context(busy(lambda: _ask(client, orders_port), 0.12, at_once=4))
    stack.enter_context(busy(lambda: _ask(client, payments_port), 0.3))
    _later(stack, lambda: setattr(replicas[2], "answer", neighbours.fails_but_looks_healthy))
    return {
        "ORDERS_UPSTREAM": ",".join(one.url for one in replicas),
        "ORDERS_LISTEN": f"127.0.0.1:{orders_port}",
        "ORDERS_HEALTH_PATH": "/health",
        "PAYMENTS_UPSTREAM": payments.url,
        "PAYMENTS_LISTEN": f"127.0.0.1:{payments_port}",
        "EJECT_FOR": "60s",  # the picture shows the ejection, so it must last until then
    }


def _ask(client: httpx.Client, port: int) -> None:
    client.get(f"http://127.0.0.1:{port}/orders/{time.monotonic_ns() % 10_000}")


def _logshipper(stack: ExitStack, folder: Path) -> dict[str, str]:
    logs = folder / "logs"
    logs.mkdir()
    storage = stack.enter_context(serving(neighbours.takes_all))
    archive = stack.enter_context(serving(neighbours.takes_all))
    numbers = itertools.count(1)

    def write(name: str, text: str) -> None:
        with (logs / name).open("a") as file:
            file.write("".join(f"{text} {next(numbers)}\n" for _ in range(10)))

    stack.enter_context(busy(lambda: write("app.log", "INFO orders: order taken, number"), 0.15))
    stack.enter_context(busy(lambda: write("access.log", '"GET /shop/order HTTP/1.1" 200 512 request'), 0.3))
    _later(stack, lambda: setattr(archive, "answer", neighbours.fails))
    return {
        "PATHS": f"{logs}/*.log",
        "STORAGE_SINK": f"{storage.url}/ingest",
        "ARCHIVE_SINK": f"{archive.url}/ingest",
        "STATE_DIR": str(folder / "state"),
        "BATCH_TIMEOUT": "500ms",
    }


def _adapter(stack: ExitStack, folder: Path) -> dict[str, str]:
    app = stack.enter_context(serving(neighbours.metrics(time.monotonic())))
    (folder / "rules").write_text(_RULES)
    port = _free_port()
    stack.enter_context(busy(lambda: _probe(port), 0.5))
    return {
        "LISTEN": f"127.0.0.1:{port}",
        "TARGET": app.url,
        "MODE": "verdict",
        "FAIL_AFTER": "3",
        "RULES_FILE": str(folder / "rules"),
    }


def _probe(port: int) -> None:
    httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


def _warcopier(stack: ExitStack, folder: Path) -> dict[str, str]:
    source, target = folder / "artifacts", folder / "webapps"
    for one in (source, target):
        one.mkdir()
    _war(source / "shop.war", "4.2.0", 3_000_000)
    _war(source / "admin.war", "1.18.3", 400_000)
    _later(stack, lambda: _war(source / "shop.war", "4.3.0", 3_100_000))

    def cut_off() -> None:
        (source / "stock.war").write_bytes((source / "admin.war").read_bytes()[:-300])

    _later(stack, cut_off, 2 * _FAULTS_AFTER)
    return {"SOURCE": str(source), "TARGET": str(target), "WATCH": "true"}


def _war(path: Path, version: str, size: int) -> None:
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\nImplementation-Version: {version}\n")
        archive.writestr("WEB-INF/web.xml", "<web-app/>")
        archive.writestr("catalogue.bin", version.encode() * (size // len(version)))
    unfinished.rename(path)


def _later(stack: ExitStack, what: Callable[[], None], after: float = _FAULTS_AFTER) -> None:
    """Let something happen after so many seconds, unless the Pod has ended then."""
    timer = threading.Timer(after, what)
    timer.daemon = True
    timer.start()
    stack.callback(timer.cancel)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port
