"""An OTLP/HTTP receiver for logs, made of the official messages."""

from __future__ import annotations

import gzip
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from tests.logshipper.support import Receiver


class Otlp(Receiver):
    """Stores records. `mode` may also be refuse:<n>: a partial success that refuses n records."""

    path = ""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.url = f"otlp+{self.url}"
        self.received: list[Any] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path != "/v1/logs":
            return 404, b""
        assert headers["Content-Type"] == "application/x-protobuf"
        message = ExportLogsServiceRequest.FromString(
            gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        )
        assert message.resource_logs, "an empty envelope"
        self.received.append(message)
        response = ExportLogsServiceResponse()
        if self.mode.startswith("refuse:"):
            response.partial_success.rejected_log_records = int(self.mode.removeprefix("refuse:"))
            response.partial_success.error_message = 'too old: "the line"'
        return 200, response.SerializeToString()
