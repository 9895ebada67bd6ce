"""The four sidecars as processes, for a browser to look at, with hostile names in everything that they show.

Each can be changed: that gives a text which is nowhere before, and which its page must show soon after.
"""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support import Program, free_port, get

SIDECARS = ("ambassador", "logshipper", "adapter", "warcopier")

MARKUP = "<b data-planted>bold</b>"
SCRIPT = "</script><script>document.title='planted'</script>"
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}raw.exe"
LONG = "long" * 2_500
HOSTILE = MARKUP + SCRIPT + OVERRIDE


class App(BaseHTTPRequestHandler):
    """Every neighbour in one: the app with its metrics and its health, an upstream, and a log storage that refuses."""

    protocol_version = "HTTP/1.1"
    server: Neighbours

    def do_GET(self) -> None:
        match self.path:
            case "/check":
                self._answer(self.server.check, "text/plain", HOSTILE + LONG, reason="<b data-planted>no</b>" + LONG)
            case "/actuator":
                part = {"status": "DOWN", "details": {"error": HOSTILE + LONG}}
                document = {"status": "DOWN", "components": {HOSTILE: part, LONG: part}}
                self._answer(200, "application/json", json.dumps(document))
            case _:
                metrics = f"# TYPE queue_length gauge\nqueue_length {self.server.queue}\n"
                self._answer(200, "text/plain; version=0.0.4", metrics)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(503, "text/plain", HOSTILE + LONG)

    def _answer(self, status: int, content_type: str, text: str, reason: str | None = None) -> None:
        body = text.encode()
        self.send_response(status, reason)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class Neighbours(ThreadingHTTPServer):
    """The server of `App`: `check` is its response to health checks of the ambassador, `queue` is in its metrics."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), App)
        self.check, self.queue = 503, 3

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_request: object) -> None:
        """Say nothing: a client that hangs up, or is killed, is no fault."""

    @contextmanager
    def serving(self) -> Iterator[None]:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()


@dataclass(slots=True)
class Sidecar:
    """A sidecar that runs, and may be ended and started again on the same port."""

    name: str
    folder: Path
    environ: Mapping[str, str]
    change: Callable[[int], str]
    probe: Callable[[], None] = lambda: None
    admin: int = field(default_factory=free_port)
    program: Program | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    @property
    def url(self) -> str:
        return f"{self.origin}/"

    def begin(self) -> None:
        address = {f"{self.name.upper()}_ADMIN_LISTEN": f"127.0.0.1:{self.admin}", "POD_NAME": HOSTILE + LONG}
        self.program = Program(["-m", f"sidecars.{self.name}"], {**self.environ, **address}, self.folder)

    def ready(self) -> None:
        """Wait until its admin port answers, whatever it says; the adapter has asked the app once."""
        assert self.program
        self.program.wait_logged("admin endpoints answer")
        self.probe()

    def end(self) -> None:
        if self.program:
            self.program.kill()


def make(name: str, folder: Path, app: Neighbours) -> Sidecar:
    """Return the sidecar with its volumes and neighbours. It is not started."""
    return {"ambassador": _ambassador, "logshipper": _logshipper, "adapter": _adapter, "warcopier": _warcopier}[name](
        folder, app
    )


def _ambassador(folder: Path, app: Neighbours) -> Sidecar:
    listen = free_port()
    environ = {
        "AMBASSADOR_UPSTREAM": app.url,
        "AMBASSADOR_LISTEN": f"127.0.0.1:{listen}",
        "AMBASSADOR_HEALTH_PATH": "/check",
        "AMBASSADOR_HEALTH_INTERVAL": "200ms",
    }

    def change(number: int) -> str:
        app.check = 410 + number
        return f"it responded with {app.check}"

    return Sidecar("ambassador", folder, environ, change)


def _logshipper(folder: Path, app: Neighbours) -> Sidecar:
    logs = folder / "logs"
    hostile = logs / f"{HOSTILE}.log"  # the slash of </script> makes folders of it
    hostile.parent.mkdir(parents=True)
    hostile.write_text("a line\n")
    (logs / f"{LONG[:200]}.log").write_text("a line\n")
    environ = {
        "LOGSHIPPER_PATHS": f"{logs}/**/*.log",
        "LOGSHIPPER_SINK": f"{app.url}/sink",
        "LOGSHIPPER_STATE_DIR": str(folder / "state"),
        "LOGSHIPPER_BATCH_TIMEOUT": "100ms",
    }

    def change(number: int) -> str:
        (logs / f"fresh-{number}.log").write_text("one more\n")
        return f"fresh-{number}.log"

    return Sidecar("logshipper", folder, environ, change)


def _adapter(folder: Path, app: Neighbours) -> Sidecar:
    listen = free_port()
    (folder / "rules").write_text(
        f"queue: queue_length < 10\ngone: queue_length{{of={json.dumps(HOSTILE)}}} < 1 warn\n"
    )
    environ = {
        "ADAPTER_LISTEN": f"127.0.0.1:{listen}",
        "ADAPTER_MODE": "verdict",
        "ADAPTER_ADMIN_STATUS": "any",  # for the proxy, whose Host is a name
        "ADAPTER_SHOP_TARGET": app.url,
        "ADAPTER_SHOP_RULES_FILE": str(folder / "rules"),
        "ADAPTER_DEEP_TARGET": app.url,
        "ADAPTER_SHOP_ROUTES": "/health=/metrics",
        "ADAPTER_DEEP_ROUTES": "/deep=/actuator",
    }

    def probe() -> None:
        for path in ("health", "deep"):
            get(f"http://127.0.0.1:{listen}/{path}")

    def change(number: int) -> str:
        app.queue = 980 + number
        probe()
        return str(app.queue)

    return Sidecar("adapter", folder, environ, change, probe)


def _warcopier(folder: Path, app: Neighbours) -> Sidecar:
    del app
    source, target = folder / "source", folder / "target"
    for one in (source, target):
        one.mkdir()

    def war(name: str) -> str:
        unfinished = source / "unfinished"
        manifest = f"Manifest-Version: 1.0\nImplementation-Version: {MARKUP}{OVERRIDE}\n"
        with zipfile.ZipFile(unfinished, "w") as archive:
            archive.writestr("META-INF/MANIFEST.MF", manifest)
            archive.writestr("WEB-INF/web.xml", "<web-app/>")
        unfinished.rename(source / name)
        return name

    war(f"{MARKUP.replace('/', '#')}{OVERRIDE}.war")
    war(f"{LONG[:200]}.war")
    environ = {"WARCOPIER_SOURCE": str(source), "WARCOPIER_TARGET": str(target), "WARCOPIER_WATCH": "true"}
    return Sidecar("warcopier", folder, environ, lambda number: war(f"fresh-{number}.war"))
