"""The app `tickets` of the example: a legacy app with /metrics on port 8080, and without a health endpoint.

SIGUSR1 jams the printer, and frees it again.
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

printer = {"up": 1}

METRICS = """\
# HELP printer_up 1 when the ticket printer works.
# TYPE printer_up gauge
printer_up{{printer="hall"}} {up}
# HELP queue_length People who wait for a ticket.
# TYPE queue_length gauge
queue_length 3
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = self.path == "/metrics"
        body = METRICS.format(up=printer["up"]).encode() if known else b"there is only /metrics here\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4" if known else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: probes come every second."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel sends process 1 only signals with a handler
    signal.signal(signal.SIGUSR1, lambda *_: printer.update(up=1 - printer["up"]))
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
