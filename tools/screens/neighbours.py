"""The neighbours of the sidecars on the pictures: replicas, log storages, an app with metrics, and their customers.

All are threads of this process on loopback. Nothing here is a measurement.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Answer = Callable[[str], tuple[int, str]]
"""Status and text for a path."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Neighbour

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        status, text = self.server.answer(self.path)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class Neighbour(ThreadingHTTPServer):
    """A server whose answer may be another one later."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_request: object) -> None:
        """Say nothing: a client that hangs up is no fault."""


@contextmanager
def serving(answer: Answer) -> Iterator[Neighbour]:
    neighbour = Neighbour(answer)
    threading.Thread(target=neighbour.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield neighbour
    finally:
        neighbour.shutdown()
        neighbour.server_close()


def replica(milliseconds: float) -> Answer:
    """Return an answer that takes about that long, and not for `/health`."""

    def answer(path: str) -> tuple[int, str]:
        if path != "/health":
            time.sleep(random.uniform(0.7, 1.6) * milliseconds / 1000)  # noqa: S311 - a delay, no secret
        return 200, json.dumps({"order": path})

    return answer


def fails(_path: str) -> tuple[int, str]:
    return 503, "out of memory"


def fails_but_looks_healthy(path: str) -> tuple[int, str]:
    return (200, "ok") if path == "/health" else (500, "out of memory")


def takes_all(_path: str) -> tuple[int, str]:
    return 204, ""


def metrics(began: float) -> Answer:
    """Return the metrics of an app whose queue comes and goes, and whose heap fills up."""

    def answer(_path: str) -> tuple[int, str]:
        age = time.monotonic() - began
        queue = 45 + 30 * math.sin(age / 9) + random.uniform(-5, 5)  # noqa: S311 - a figure on a picture
        heap = min(0.97, 0.55 + age / 220)
        return 200, (
            f"# TYPE queue_length gauge\nqueue_length {queue:.0f}\n"
            f"# TYPE heap_used_ratio gauge\nheap_used_ratio {heap:.3f}\n"
            f'# TYPE db_up gauge\ndb_up{{db="orders"}} 1\ndb_up{{db="stock"}} 1\n'
            f"# TYPE workers_busy gauge\nworkers_busy {random.randint(3, 14)}\n"  # noqa: S311 - a figure on a picture
        )

    return answer


@contextmanager
def busy(doing: Callable[[], None], every: float, at_once: int = 1) -> Iterator[None]:
    """Do something again and again in threads of their own, with a pause of so many seconds."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            with contextlib.suppress(httpx.HTTPError):
                doing()
            over.wait(every * random.uniform(0.5, 1.5))  # noqa: S311 - a pause

    threads = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
