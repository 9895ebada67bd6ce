"""Sends the spans that wait to the collector, in batches. https://opentelemetry.io/docs/specs/otlp/#otlphttp

A batch leaves when spans have waited for a second, or 128 KiB do. There is one request at a time. By OTLP's rules it
is sent again after 429, 502, 503, 504 and failures of the connection: after a Retry-After of a second or more, or after
a pause that doubles from one second to thirty, with jitter. Any other status refuses the batch: it is counted and not
sent again.

At the end there is no pause any more: the spans that wait are sent within two seconds, or counted as refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from typing import Final

import h11

from sidecars import chassis
from sidecars.ambassador.config.seeing_settings import parse_headers
from sidecars.ambassador.proxy.observed import spans
from sidecars.ambassador.proxy.observed.span_queue import SpanQueue
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http.client import ClientResponse, ConnectionClosed, HttpClient, MalformedResponse, RequestFailed
from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.retry_after import retry_after
from sidecars.chassis.http.tls import UnusableTLSFiles, client_context, pem_file
from sidecars.chassis.protobuf import bytes_field, parse_fields, string_field
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import IOFailed

log = logs.get("ambassador.traces")

_INTERVAL: Final = 1.0  # seconds that spans wait for others
_TIMEOUT: Final = 10.0  # seconds for one request
_AT_THE_END: Final = 2.0  # seconds for all that waits then
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds
_LONGEST_ASKED: Final = 300.0  # seconds of a Retry-After
_KEEP_ALIVE: Final = 30.0  # seconds
_MAX_BODY: Final = 64 * 1024  # bytes of a response
_AGAIN: Final = frozenset({429, 502, 503, 504})
_PATH: Final = "/v1/traces"
_GRPC_PORT: Final = 4317
_IS_GRPC: Final = "no response of HTTP/1.1: this is probably a gRPC port (4317), and the one for HTTP is 4318"
_SCOPE: Final = bytes_field(1, string_field(1, "ambassador") + string_field(2, chassis.__version__))


class SpanExporter:
    """Sends the spans of one process. The data path owns it, and its queue."""

    def __init__(self, settings: Settings) -> None:
        """Raises IOFailed if the file of TRACES_CA cannot be used."""
        endpoint = settings.traces_endpoint
        assert endpoint is not None  # noqa: S101 - without one there is no exporter
        self._waiting, self._many, self._stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.queue = SpanQueue(self._waiting.set, self._many.set)
        self._collector = _Collector(settings, endpoint)
        self._resource = bytes_field(1, b"".join(_attribute(*one) for one in _resource(settings).items()))
        self._failing = ""  # why the last request failed; "" if it did not
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """Send the spans that wait, until `finish` is called and everything is sent, or cannot be."""
        while not self._stopping.is_set() or self.queue.held:
            if not self.queue.held:
                self._waiting.clear()
                await self._first(self._waiting)
                continue
            if not self._stopping.is_set():
                self._many.clear()
                await self._first(self._many, within=_INTERVAL)
            batch, count = self.queue.take()
            try:
                await self._deliver(batch, count)
            except Exception as error:  # noqa: BLE001 - a defect here is no reason to end what serves the app
                log.defect("spans could not be exported", error)
        self._collector.close()

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Let `run`, this task, send the spans that wait and end, within two seconds. Count those that are left."""
        self._stopping.set()
        await asyncio.wait({running}, timeout=_AT_THE_END)
        running.cancel()
        while self.queue.held:
            self.queue.count_refused(self.queue.take()[1])

    async def _first(self, event: asyncio.Event, within: float | None = None) -> None:
        """Wait for the event, or for the end; at most `within` seconds."""
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self._stopping)]
        try:
            await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _deliver(self, batch: Sequence[bytes], count: int) -> None:
        """Send a batch until the collector has decided on it."""
        blocks = spans.request(self._resource, _SCOPE, batch)
        is_decided = False
        try:
            while not is_decided:
                pause = await self._attempt(blocks, count)
                is_decided = pause is None
                if pause is not None:
                    if self._stopping.is_set():
                        break
                    await self._first(self._stopping, within=pause)
        finally:
            if not is_decided:
                self.queue.count_refused(count)

    async def _attempt(self, blocks: Sequence[bytes], count: int) -> float | None:
        """Send a batch once. Return the seconds after which it is sent again; None if the collector has decided."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                response = await self._collector.post(blocks)
        except TimeoutError:
            return self._away(f"no response in {_TIMEOUT:g} s")
        except (MalformedResponse, ConnectionClosed, ConnectionResetError, BrokenPipeError) as error:
            return self._away(self._no_http(error))
        except (OSError, RequestFailed, UnicodeDecodeError, ValueError) as error:
            return self._away(reason_of(error) or "the connection broke")
        if response.status in _AGAIN:
            asked = retry_after(response.headers.get("retry-after", ""), time.time(), _LONGEST_ASKED)
            pause = self._away(f"it responded with {response.status}")
            return asked if asked is not None and asked >= _FIRST_PAUSE else pause
        self._pause = _FIRST_PAUSE
        if not 200 <= response.status <= 299:  # noqa: PLR2004 - statuses
            self.queue.count_refused(count)
            self._refused(count, f"it responded with {response.status}")
            return None
        refused = min(count, _rejected_spans(response.body))
        self.queue.count_exported(count - refused)
        self.queue.count_refused(refused)
        if refused:
            self._refused(refused, "it accepted a part of the spans")
        elif self._failing:
            log.info("spans are exported again", endpoint=str(self._collector.endpoint))
            self._failing = ""
        return None

    def _no_http(self, error: Exception) -> str:
        """Return the reason for a connection that ended without a response of HTTP/1.1.

        A port of gRPC sends a frame of HTTP/2, or resets the connection, as it comes: there is one reason for both.
        """
        port = self._collector.endpoint.port
        if isinstance(error, MalformedResponse) or port == _GRPC_PORT or self._failing == _IS_GRPC:
            return _IS_GRPC
        return "it closed the connection without a response"

    def _away(self, reason: str) -> float:
        """Note a failure that passes; return the pause before the next attempt."""
        if reason != self._failing:
            self._failing = reason
            log.warning(
                "spans cannot be exported at present",
                code="spans-not-exported",
                endpoint=str(self._collector.endpoint),
                reason=reason,
                advice="TRACES_ENDPOINT is for OTLP over HTTP, mostly port 4318, not gRPC's 4317; requests go on",
            )
        pause = self._pause * (0.5 + random.random())  # noqa: S311 - to spread
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        return pause

    def _refused(self, count: int, reason: str) -> None:
        if reason != self._failing:
            self._failing = reason
            log.warning(
                "the collector refuses spans",
                code="spans-refused",
                endpoint=str(self._collector.endpoint),
                spans=count,
                reason=reason,
                advice="see TRACES_ENDPOINT and TRACES_HEADERS",
            )


class _Collector:
    """Requests to the collector. The exporter owns it."""

    def __init__(self, settings: Settings, endpoint: Url) -> None:
        self.endpoint = endpoint
        self._headers: Secret | None = settings.traces_headers
        self._target = endpoint.target.reveal()
        if self._target in ("", "/"):
            self._target = _PATH
        context = None
        if endpoint.scheme == "https":
            try:
                context = client_context(pem_file(settings, "traces_ca", Settings)).context
            except UnusableTLSFiles as error:
                raise IOFailed(error.reason, code="tls-files-unusable") from None
        port = endpoint.port or DEFAULT_PORTS[endpoint.scheme]
        self._client = HttpClient(endpoint.hostname, port, context or (lambda: None), keep_alive=_KEEP_ALIVE)

    async def post(self, blocks: Sequence[bytes]) -> ClientResponse:
        """Send a request. Raises OSError, RequestFailed, and ValueError for a wrong file of TRACES_HEADERS."""
        fields = [
            ("Host", self.endpoint.host_port),
            ("User-Agent", f"sidecars-ambassador/{chassis.__version__}"),
            ("Content-Type", "application/x-protobuf"),
            ("Content-Length", str(sum(map(len, blocks)))),
        ]
        if self._headers is not None:
            fields += parse_headers(self._headers.reveal())
        request = h11.Request(method="POST", target=self._target, headers=fields)
        return await self._client.request(request, blocks, max_body=_MAX_BODY)

    def close(self) -> None:
        self._client.close()


def _resource(settings: Settings) -> dict[str, str]:
    """Return the resource: where the spans come from."""
    pod = {
        "k8s.pod.name": settings.pod_name,
        "k8s.namespace.name": settings.pod_namespace,
        "k8s.pod.uid": settings.pod_uid,
        "k8s.node.name": settings.node_name,
        "service.instance.id": settings.pod_uid,
    }
    own = {"service.name": settings.traces_service, "service.version": chassis.__version__}
    return {**own, **{name: value for name, value in pod.items() if value}}


def _attribute(name: str, value: str) -> bytes:
    return bytes_field(1, string_field(1, name) + bytes_field(2, string_field(1, value)))


def _rejected_spans(body: bytes) -> int:
    """Return the spans that a response of status 200 says were rejected; 0 for a body that is not understood."""
    with contextlib.suppress(ValueError):
        for field, value in parse_fields(body):
            if field == 1 and isinstance(value, bytes):  # partial_success
                for inner, number in parse_fields(value):
                    if inner == 1 and isinstance(number, int):
                        return number if number < 1 << 63 else 0
    return 0
