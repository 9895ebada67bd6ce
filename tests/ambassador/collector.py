"""An OTLP receiver for spans, made of the official messages, on a port of loopback."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support import wait_until


def text_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, an event or a resource."""
    names = [one.key for one in of.attributes]
    assert len(names) == len(set(names)), "a name stands twice"
    return {one.key: text_of(one.value) for one in of.attributes}


class Collector:
    """Stores the spans that it accepts. `answers` are the statuses and fields of its next responses, then 200."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.rejects = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, fields, answer = collector.take(self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, headers))
        if self.answers:
            return *self.answers.pop(0), b""
        message = ExportTraceServiceRequest.FromString(body)
        assert message.SerializeToString() == body, "not the canonical form"
        for resource in message.resource_spans:
            self.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                assert scope.scope.name == "ambassador"
                self.spans += scope.spans
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        return 200, {}, answer.SerializeToString()

    def wait_for(self, count: int) -> list[Span]:
        """Wait for this many spans, and return all."""
        return wait_until(lambda: list(self.spans) if len(self.spans) >= count else None, f"{count} spans")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Collector:  # noqa: PYI034 - a helper of one class
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
