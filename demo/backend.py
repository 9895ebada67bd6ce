"""One replica of the backend that confirms orders: `python demo/backend.py PORT NUMBER`."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    replica = 0

    def do_GET(self) -> None:
        body = json.dumps({"order": self.path.rpartition("/")[2], "replica": self.replica}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class Backend(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Handler.replica = int(sys.argv[2])
    Backend(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
