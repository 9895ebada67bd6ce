"""The app of the demo: business code only. It does not know that it has sidecars.

It serves a page of the WAR in its webapps folder, confirms orders by a request to the one localhost address that it
knows, writes a log file, rotates it at SIGHUP, and has `/metrics`. It has no `/health`, ships no logs, balances nothing
and retries nothing.

    python demo/app.py PORT WEBAPPS LOGFILE BACKEND_URL
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LINES_PER_ORDER = 20


class LogFile:
    """A log that is rotated by renaming at the worst time: in the middle of a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self._rotations = 0
        self._lines = 0
        self.rotate_next = False

    def write(self, text: str) -> None:
        with self._lock:
            self._lines += 1
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            line = f"{stamp} INFO [line={self._lines}] {text}\n"
            if not self.rotate_next:
                self._file.write(line)
                return
            self.rotate_next = False
            self._rotations += 1
            half = len(line) // 2
            self._file.write(line[:half])
            self._file.flush()
            self._path.rename(self._path.with_name(f"{self._path.name}.{self._rotations}"))
            self._file.write(line[half:])
            self._file.close()
            self._file = self._path.open("a", buffering=1)


class Shop(ThreadingHTTPServer):
    """The business: a page, orders, and metrics."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, webapps: Path, logfile: Path, backend: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.log = LogFile(logfile)
        self.backend = backend
        self.orders = 0
        self.failures = 0
        self._lock = threading.Lock()
        with zipfile.ZipFile(webapps / "shop.war") as war:
            self.page = war.read("index.html")

    def order(self) -> dict[str, object]:
        with self._lock:
            self.orders += 1
            number = self.orders
        try:
            with urllib.request.urlopen(f"{self.backend}/orders/{number}", timeout=10) as response:
                confirmed: dict[str, object] = json.load(response)
        except OSError:
            with self._lock:
                self.failures += 1
            self.log.write(f"order={number} failed")
            raise
        for step in range(LINES_PER_ORDER):
            self.log.write(
                f"order={number} step={step} replica={confirmed['replica']} com.shop.OrderService.place: done"
            )
        return confirmed

    def metrics(self) -> str:
        return (
            "# HELP shop_orders_total Orders taken.\n# TYPE shop_orders_total counter\n"
            f"shop_orders_total {self.orders}\n"
            "# HELP shop_order_failures_total Orders that the backend did not confirm.\n"
            "# TYPE shop_order_failures_total counter\n"
            f"shop_order_failures_total {self.failures}\n"
        )


class Handler(BaseHTTPRequestHandler):
    server: Shop
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            if self.path == "/shop/":
                self._answer(200, "text/html", self.server.page)
            elif self.path == "/shop/order":
                self._answer(200, "application/json", json.dumps(self.server.order()).encode())
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4", self.server.metrics().encode())
            else:
                self._answer(404, "text/plain", b"no such page\n")
        except OSError as error:
            self._answer(502, "text/plain", f"the backend failed: {error}\n".encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: the shop has its own log."""


def main(arguments: list[str]) -> None:
    port, webapps, logfile, backend = arguments
    shop = Shop(int(port), Path(webapps), Path(logfile), backend)

    def rotate(*_signal: object) -> None:
        shop.log.rotate_next = True

    signal.signal(signal.SIGHUP, rotate)
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(0))
    shop.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
