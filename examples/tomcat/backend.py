"""The external service of the example: responds to `GET /offers/<id>` with JSON that names the replica."""

import json
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        offer = self.path.removeprefix("/offers/")
        body = json.dumps({"offer": offer, "price": 42, "replica": socket.gethostname()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log no requests: the ambassador's metrics have them."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel ignores a signal to process 1 without a handler
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
