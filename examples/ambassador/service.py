"""A service outside of the Pod: it responds to `GET /<anything>` with JSON that names the service and the replica.

- SERVICE: its name.
- MODE: `well`, `slow` (a second for each response) or `failing` (a 503 and a closed connection in turns).
- TLS_CERT and TLS_KEY: with these it speaks TLS.
- HOST and PORT: the address on which it listens.
"""

import itertools
import json
import os
import signal
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE = os.environ.get("SERVICE", "orders")
MODE = os.environ.get("MODE", "well")
SLOW = 1.0  # seconds

turns = itertools.count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if MODE == "slow":
            time.sleep(SLOW)
        if MODE == "failing" and next(turns) % 2:
            self.close_connection = True
            return
        replica = os.environ.get("REPLICA") or socket.gethostname()
        answer = {"service": SERVICE, "path": self.path, "replica": replica, "mode": MODE, "host": self.headers["Host"]}
        body = json.dumps(answer).encode()
        self.send_response(503 if MODE == "failing" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the ambassador's metrics show the requests."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel drops signals to process 1 without a handler
    server = ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))), Handler)
    if "TLS_CERT" in os.environ:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
