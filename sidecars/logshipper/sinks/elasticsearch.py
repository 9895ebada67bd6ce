"""The sinks `elasticsearch+http://` and `elasticsearch+https://`: Elasticsearch's and OpenSearch's bulk API.

Each event is a document, created under its id: 201 is a yes, and so is 409, for then it is there already. That makes
every line arrive exactly once, as long as the index keeps it (a data stream only within its current backing index).
The answer has a verdict for each document, in their order: 429 and 5xx are sent again, alone. So are 401, 403 and 404,
for an index that is missing, or blocked because a disk is full, is mended by people. Any other error is final, and
rejects that document with its reason, in which what the receiver quotes is left out.

A document is the record that other sinks get, with its time as `@timestamp`: that of the event, or else that of
shipping. `create` is what a data stream asks for, and all that an index needs.
"""

from __future__ import annotations

import time
from typing import Any

import orjson

from chassis.client import Answer
from sidecars.logshipper import ndjson
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.settings import Settings, Sink
from sidecars.logshipper.sinks.answers import asked_pause, judge, words
from sidecars.logshipper.sinks.base import Outcome, TryLater
from sidecars.logshipper.sinks.compress import compressor, content_encoding
from sidecars.logshipper.sinks.post import Poster

_FILTER = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_CREATE = '{"create":{"_id":"<id>"}}'
_THERE_ALREADY = 409
_AGAIN = frozenset({401, 403, 404, 429, *range(500, 600)})
_GOOD = range(200, 300)


def create(_settings: Settings, sink: Sink) -> ElasticsearchSink:
    return ElasticsearchSink(sink)


class ElasticsearchSink:
    at_once = 64

    def __init__(self, sink: Sink) -> None:
        self._poster = Poster(sink)
        self._pack = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-ndjson"), *content_encoding(sink.compression)]
        query = "&".join(part for part in (sink.sink.query, _FILTER) if part)
        self._target = f"{sink.sink.path}/_bulk?{query}"

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        answer = await self._poster.post(self._target, self._headers, batch.encoded(self._encode))
        judge(answer)
        return _outcome(answer, batch.events)

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._pack(ndjson.encode(batch, ndjson.Layout(_CREATE, "@timestamp", time.time_ns())))

    async def close(self) -> None:
        self._poster.close()


def _outcome(answer: Answer, events: int) -> Outcome:
    """What a bulk answer decides. Raises TryLater when it is none: then nothing is known of any document."""
    try:
        page = orjson.loads(answer.body)
        if page["errors"] is False:
            return Outcome()
        verdicts = [next(iter(item.values())) for item in page["items"]]
        statuses = [int(verdict["status"]) for verdict in verdicts]
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration):
        raise TryLater("the receiver's answer is not that of a bulk request") from None
    if len(statuses) != events:
        raise TryLater(f"the receiver answered about {len(statuses)} of {events} documents")
    rejected: list[tuple[int, str]] = []
    again: list[int] = []
    for index, status in enumerate(statuses):
        if status in _AGAIN:
            again.append(index)
        elif status not in _GOOD and status != _THERE_ALREADY:
            rejected.append((index, _reason(status, verdicts[index].get("error"))))
    reason = ""
    if again:
        first = again[0]
        reason = f"{len(again)} of {events} documents: {_reason(statuses[first], verdicts[first].get('error'))}"
    after = asked_pause(answer)
    return Outcome(rejected=rejected, again=again, reason=reason, after=after)


def _reason(status: int, error: Any) -> str:
    """Such as `400 document_parsing_exception: failed to parse field '…'`."""
    found = error if isinstance(error, dict) else {"reason": str(error or "")}
    kind, why = str(found.get("type") or ""), str(found.get("reason") or "")
    return words(" ".join(part for part in (str(status), ": ".join(part for part in (kind, why) if part)) if part))
