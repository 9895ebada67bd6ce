"""The sinks `gelf+http://` and `gelf+https://`: GELF messages for Graylog, one in each request.

Graylog takes one message in a POST, and responds with 202 when it is in its journal. With `SINK_BULK` a request has
several, one a line, up to the 64 KiB that an input of Graylog's takes by default; the input must have bulk receiving
enabled, or else it stores the first line of each request alone.

| the receiver | the sink |
|---|---|
| 2xx | accepts the events of the request |
| 400, 413, 422 for one event | rejects it if the receiver has accepted another event of the batch |
| 400, 413, 422 for every event | the batch is refused: nothing is rejected until the receiver accepts something |
| 400, 413, 422 for several events (`SINK_BULK`) | the batch is sent in halves |
| anything else | what was accepted stays accepted, and the other events are sent again |

Repeats: at least once. `_event_id` is the same. Graylog stores a repeat.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sidecars.logshipper.config.limits import SHORT_RESPONSE
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.encodings.messages import gelf_messages
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import request_target

_PATH = "/gelf"
_REQUESTS = 4  # at once, for one batch in flight; one more for each further batch
_LARGEST = 60 * 1024  # bytes of a request with several messages


def create(settings: Settings, sink: SinkSettings) -> GelfHttpSink:
    return GelfHttpSink(settings, sink)


class _Request(NamedTuple):
    """A request with the events of a batch from `first` on."""

    first: int
    events: int
    body: Sequence[bytes]


class GelfHttpSink:
    """A Graylog, or another receiver of GELF over HTTP. See `base.Sink`."""

    max_in_flight = 16

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._poster = create_poster(settings, sink)
        self._host = settings.pod_name or socket.gethostname()
        self._compress = compressor(sink.compression)
        self._headers = [("Content-Type", "application/json"), *content_encoding(sink.compression)]
        self._target = request_target(sink, _PATH)
        self._in_bulk = sink.sink_bulk
        self._slots = asyncio.Semaphore(_REQUESTS - 1 + sink.in_flight)

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        attempt = _Attempt(await batch.encoded(self._encode))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_REQUESTS):
                tasks.create_task(self._send(attempt))
        return attempt.outcome(batch.events)

    async def _send(self, attempt: _Attempt) -> None:
        """Send one request after the other, until there are no more or the receiver accepts nothing now."""
        for request in attempt.requests:
            try:
                async with self._slots:
                    response = await self._poster.post(self._target, self._headers, request.body, SHORT_RESPONSE)
                raise_for_status(response)
            except RetryLater as failure:
                attempt.failed(failure)
                return
            except BatchRefused as refusal:
                attempt.refused(request, refusal)
            else:
                attempt.accepted.update(range(request.first, request.first + request.events))

    def _encode(self, batch: Batch) -> list[_Request]:
        messages = gelf_messages.encode(batch, self._host)
        if not self._in_bulk:
            return [_Request(index, 1, self._compress([message])) for index, message in enumerate(messages)]
        return [
            _Request(first, stop - first, self._compress([b"\n".join(messages[first:stop])]))
            for first, stop in _slices(messages)
        ]

    async def close(self) -> None:
        self._poster.close()


class _Attempt:
    """The requests of one attempt, shared by those who send them, and the receiver's answers."""

    def __init__(self, requests: Sequence[_Request]) -> None:
        self.requests = iter(requests)
        self.accepted: set[int] = set()
        self._refused: dict[int, str] = {}
        self._failure: RetryLater | None = None
        self._refusal: BatchRefused | None = None  # of a request with several events

    def failed(self, failure: RetryLater) -> None:
        """Note that the receiver accepts nothing now: no further request is sent."""
        self._failure = self._failure or failure
        self.requests = iter(())

    def refused(self, request: _Request, refusal: BatchRefused) -> None:
        if request.events > 1:
            self._refusal = self._refusal or refusal
            self.requests = iter(())
        else:
            self._refused[request.first] = refusal.reason

    def outcome(self, events: int) -> Outcome:
        """Return the outcome. Raises BatchRefused, BatchTooLarge or RetryLater if nothing is decided."""
        if self._refusal is not None:
            raise self._refusal
        if not self.accepted:
            if self._failure is not None:
                raise self._failure
            raise BatchRefused(self._refused[0], [self._refused[index] for index in range(events)])
        retry = [index for index in range(events) if index not in self.accepted and index not in self._refused]
        failure = self._failure if retry else None
        return Outcome(
            rejected=sorted(self._refused.items()),
            retry=retry,
            retry_reason=failure.reason if failure else "",
            retry_after=failure.retry_after if failure else None,
        )


def _slices(messages: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield slices of at most _LARGEST bytes, or of one longer message."""
    first, size = 0, 0
    for index, message in enumerate(messages):
        if index > first and size + len(message) > _LARGEST:
            yield first, index
            first, size = index, 0
        size += len(message) + 1
    yield first, len(messages)
