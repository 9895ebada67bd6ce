"""A reverse proxy with a path prefix, as the API server has one for Pods. It removes the prefix; its Host is a name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.support import PATIENCE

PREFIX = "/api/v1/namespaces/shop/pods/orders-0:9913/proxy"
_OF_THE_CONNECTION = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self.server.strays.append(self.path)
            self.send_error(404)
            return
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Host": "kubernetes.default.svc"}
        url = self.server.origin + self.path.removeprefix(PREFIX)
        response = httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE)
        self.send_response_only(response.status_code)
        for name, value in response.headers.items():
            if name not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, origin: str) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.origin = origin
        self.strays: list[str] = []


@contextmanager
def prefixed(origin: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the origin below PREFIX while the context is open. Yield the URL, and the paths asked for outside of it."""
    server = _Server(origin)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{PREFIX}/", server.strays
    finally:
        server.shutdown()
        server.server_close()
