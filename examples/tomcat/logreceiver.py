"""The remote storage of the example: takes NDJSON by POST and prints it, so that its own log shows all that arrived."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds that an idle connection is kept; a client must not hold the only thread for long

    def do_POST(self) -> None:
        batch = self._body()
        sys.stdout.buffer.write(batch if batch.endswith(b"\n") else batch + b"\n")
        sys.stdout.buffer.flush()
        self.send_response(204)
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log no requests: only the lines are printed."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel ignores a signal to process 1 without a handler
    HTTPServer(("", 8080), Handler).serve_forever()
