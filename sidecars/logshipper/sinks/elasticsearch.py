"""The sinks `elasticsearch+http://` and `elasticsearch+https://`: Elasticsearch's and OpenSearch's bulk API.

Each event is a document, created under its id: 201 is a yes, and so is 409, for then it is there already. That makes
every line arrive exactly once, as long as the index keeps it (a data stream only within its current backing index).
The answer has a verdict for each document, in their order: 429 and 5xx are sent again, alone. So are 401, 403 and 404,
for an index that is missing, or blocked because a disk is full, is mended by people. Any other 4xx is final, and
rejects that document with its reason, in which what the receiver quotes is left out. When it is the verdict on every
document, the mapping or the address may be at fault, and the batch is refused as a whole.

The answer is asked to be short (`filter_path`): a status for each document, and type and reason of an error. One that
is longer than that for so many documents is not read, and the batch is sent in halves.

A document is the record that other sinks get, with its time as `@timestamp`: that of the event, or else that of
shipping. `create` is what a data stream asks for, and all that an index needs.
"""

from __future__ import annotations

import re
import time
from typing import Any

import orjson

from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.protocols.http_client import ResponseTooLong
from sidecars.logshipper.sinks.protocols.http_outcome import is_accepted, is_rejected, raise_for_status, requested_delay
from sidecars.logshipper.sinks.protocols.http_post import SHORT_RESPONSE, HttpPoster
from sidecars.logshipper.sinks.protocols.peer_text import sanitized

_FILTER = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_CREATE = '{"create":{"_id":"<id>"}}'
_THERE_ALREADY = 409
_VERDICT, _LONGEST = 128, 8 * 2**20  # bytes of an answer for each document, and in all
_NO_ERRORS = re.compile(rb'\s*\{(?:\s*"took"\s*:\s*\d+\s*,)?\s*"errors"\s*:\s*false\s*[,}]')


def create(_settings: Settings, sink: SinkSettings) -> ElasticsearchSink:
    return ElasticsearchSink(sink)


class ElasticsearchSink:
    max_in_flight = 64

    def __init__(self, sink: SinkSettings) -> None:
        self._poster = HttpPoster(sink)
        self._pack = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-ndjson"), *content_encoding(sink.compression)]
        query = "&".join(part for part in (sink.url.query, _FILTER) if part)
        self._target = f"{sink.url.path}/_bulk?{query}"

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        longest = min(SHORT_RESPONSE + _VERDICT * batch.events, _LONGEST)
        try:
            answer = await self._poster.post(self._target, self._headers, batch.encoded(self._encode), longest)
        except ResponseTooLong as error:
            raise BatchTooLarge(error.reason) from None  # that to a half is shorter
        raise_for_status(answer)
        return _outcome(answer, batch.events)

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._pack(ndjson.encode(batch, ndjson.Layout(_CREATE, "@timestamp", time.time_ns())))

    async def close(self) -> None:
        self._poster.close()


def _outcome(answer: ClientResponse, events: int) -> Outcome:
    """Return what a bulk answer decides.

    Raise Rejected when no document was taken, and TryLater when it is no such answer: nothing is known then.
    """
    if _NO_ERRORS.match(answer.body):
        return Outcome()
    verdicts = _verdicts(answer.body)
    if len(verdicts) != events:
        raise RetryLater(f"the receiver answered about {len(verdicts)} of {events} documents")
    rejected: list[tuple[int, str]] = []
    again: list[int] = []
    for index, (status, error) in enumerate(verdicts):
        if is_rejected(status) and status != _THERE_ALREADY:
            rejected.append((index, _reason(status, error)))
        elif not is_accepted(status) and status != _THERE_ALREADY:
            again.append(index)
    if len(rejected) == events:
        raise BatchRefused(f"the receiver refused every document: {rejected[0][1]}", [why for _, why in rejected])
    if not rejected and not again:
        return Outcome()
    reason = f"{len(again)} of {events} documents: {_reason(*verdicts[again[0]])}" if again else ""
    return Outcome(rejected=rejected, retry=again, retry_reason=reason, retry_after=requested_delay(answer))


def _verdicts(body: bytes) -> list[tuple[int, Any]]:
    """Return status and error of each document. Raise TryLater where the body has none."""
    try:
        page = orjson.loads(body)
        found = [next(iter(item.values())) for item in page["items"]]
        verdicts = [(verdict["status"], verdict.get("error")) for verdict in found]
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration):
        raise RetryLater("the receiver's answer is not that of a bulk request") from None
    if any(type(status) is not int for status, _ in verdicts):
        raise RetryLater("the receiver's answer is not that of a bulk request")
    return verdicts


def _reason(status: int, error: Any) -> str:
    """Such as `400 document_parsing_exception: failed to parse field '…'`."""
    found = error if isinstance(error, dict) else {"reason": error}
    parts = [part for part in (found.get("type"), found.get("reason")) if isinstance(part, str) and part]
    return sanitized(f"{status} {': '.join(parts)}".rstrip())
