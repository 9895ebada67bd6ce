"""The remote log storage of the demo: it takes NDJSON over HTTP, keeps the lines, and can be broken."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Keeps the id and message of each delivered event.

    While `broken` it answers 503 and keeps nothing. While `silent` it keeps the events but sends no response.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.broken = False
        self.silent = False
        self.refused = 0
        self.kept_silently = 0
        self.received: Counter[str] = Counter()  # message -> times
        self.ids: Counter[str] = Counter()
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def keep(self, body: bytes) -> None:
        events = [json.loads(line) for line in body.splitlines()]
        with self._lock:
            self.received.update(event["message"] for event in events)
            self.ids.update(event["id"] for event in events)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.broken:
            self.server.refused += 1
            self.send_response(503)
        else:
            self.server.keep(body)
            if self.server.silent:
                self.server.kept_silently += 1
                self.close_connection = True
                return
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""
