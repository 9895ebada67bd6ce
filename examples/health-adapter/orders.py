"""The app `orders` of the example: on port 8090 it has a health document of Spring's Actuator, and no metrics.

SIGUSR1 makes its database fail, and work again.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

database = {"up": True}


def document() -> dict[str, object]:
    up = database["up"]
    db = {"status": "UP"} if up else {"status": "DOWN", "details": {"error": "connection refused"}}
    disk = {"status": "UP", "details": {"total": 499963174912, "free": 91300069376}}
    return {"status": db["status"], "components": {"db": db, "diskSpace": disk}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = self.path == "/actuator/health"
        body = json.dumps(document() if known else {"error": "there is only /actuator/health here"}).encode()
        self.send_response((200 if database["up"] else 503) if known else 404)
        self.send_header("Content-Type", "application/vnd.spring-boot.actuator.v3+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: scrapes come every second."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel sends process 1 only signals with a handler
    signal.signal(signal.SIGUSR1, lambda *_: database.update(up=not database["up"]))
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8090"))), Handler).serve_forever()
