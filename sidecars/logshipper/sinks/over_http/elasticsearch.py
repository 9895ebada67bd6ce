"""The sinks `elasticsearch+http://` and `elasticsearch+https://`: the bulk API of Elasticsearch and OpenSearch.

Each event is a document, created under its id. So every line is there exactly once, as long as the index keeps it (in a
data stream: within its current backing index). The bulk response has a result for each document, in their order:

| status of a document | outcome |
|---|---|
| 200, 201 | accepted |
| 409: a document with this id exists | accepted |
| 429, 5xx | sent again, alone |
| 401, 403, 404: the index is missing, or blocked because a disk is full; people have to repair it | sent again, alone |
| any other 4xx | rejected, with its reason |
| any other 4xx for every document: the mapping or the address may be wrong | the batch is refused |

The response is asked to be short (`filter_path`): a status for each document, type and reason of an error. A response
that is too long for the number of documents is not read, and the batch is sent in halves.

The index may be a template, such as `logs-{tenant}-%Y.%m.%d`. Then each document goes to the index that its event's own
time and fields name, also if it is late: the 409 that makes it exactly once is that of its index. `target_names` has
what the app cannot do with its fields.

A document is the record that other sinks get, with its time as `@timestamp`: the time of the event, or else the time at
which its batch was collected. `create` is the only action that a data stream accepts, and an index needs no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.peer_text import sanitized
from sidecars.logshipper.config import url_forms
from sidecars.logshipper.config.limits import BULK_RESPONSE, BULK_RESULT, SHORT_RESPONSE
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.record_thread import beside_the_loop
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.protocols.http_client import ResponseTooLong
from sidecars.logshipper.sinks.protocols.http_outcome import (
    is_accepted,
    is_rejected,
    raise_for_status,
    requested_delay,
)

if TYPE_CHECKING:
    from sidecars.logshipper.sinks.encodings.target_names import TargetTemplate

_FILTER = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_CREATE = '{"create":{"_id":"<id>"}}'
_CREATE_IN = '{"create":{"_index":"<index>","_id":"<id>"}}'
_LONGEST_INDEX = 255  # bytes
_MOST_OBJECTS, _OTHER_OBJECTS = 8, 64  # of JSON in a response: for each document, and beside them
_MOST_LISTS = 64 * 1024
_NO_ERRORS = re.compile(rb'\s*\{(?:\s*"took"\s*:\s*\d+\s*,)?\s*"errors"\s*:\s*false\s*[,}]')


def create(settings: Settings, sink: SinkSettings) -> ElasticsearchSink:
    return ElasticsearchSink(settings, sink)


@dataclass(frozen=True, slots=True)
class _Bulk:
    """The body for one batch. `order`: the events' indices in the order of its documents; None: as in the batch."""

    blocks: list[bytes]
    order: list[int] | None = None


class ElasticsearchSink:
    """The indexes or data streams of one Elasticsearch or OpenSearch. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, process: Settings, settings: SinkSettings) -> None:
        self._poster = create_poster(process, settings)
        self._compress = compressor(settings.compression)
        self._headers = [("Content-Type", "application/x-ndjson"), *content_encoding(settings.compression)]
        path, _, own_query = settings.url.target.reveal().partition("?")
        index = url_forms.index_of(path)
        self._schema = settings.sink_schema
        self.targets: TargetTemplate | None = None
        if "{" in index or "%" in index:
            from sidecars.logshipper.sinks.encodings.target_names import (  # noqa: PLC0415 - few sinks need it
                TargetTemplate,
                clean_index,
            )

            self.targets = TargetTemplate(index, clean=clean_index, longest=_LONGEST_INDEX)
            path = path.rpartition("/")[0]
        query = "&".join(part for part in (own_query, _FILTER) if part)
        self._target = f"{path}/_bulk?{query}"

    async def open(self, receipt: Any) -> Any:
        self._poster.open()
        return self.targets.restore(receipt) if self.targets else None

    async def deliver(self, batch: Batch) -> Outcome:
        bulk = await self._bulk(batch)
        max_body = min(SHORT_RESPONSE + BULK_RESULT * batch.events, BULK_RESPONSE)
        try:
            response = await self._poster.post(self._target, self._headers, bulk.blocks, max_body)
        except ResponseTooLong as error:
            raise BatchTooLarge(error.reason) from None  # the response to a half is shorter
        raise_for_status(response)
        outcome = await beside_the_loop(len(response.body), _outcome, response, batch.events, bulk.order)
        return replace(outcome, receipt=self.targets.receipt) if self.targets else outcome

    async def _bulk(self, batch: Batch) -> _Bulk:
        if self.targets is None:
            return await batch.encoded(self._encode)
        async with self.targets.in_order:
            return await batch.encoded(self._encode)

    def _encode(self, batch: Batch) -> _Bulk:
        if self.targets is None:
            return _Bulk(self._compress(self._documents(batch, _CREATE)))
        names = self.targets.names(batch)
        if len(set(names)) == 1:
            return _Bulk(self._compress(self._documents(batch, _create_in(names[0]))))
        by_index: dict[str, list[int]] = {}
        for at, index in enumerate(names):
            by_index.setdefault(index, []).append(at)
        parts = ((batch.select(events), _create_in(index)) for index, events in by_index.items())
        blocks = [block for part, action in parts for block in self._documents(part, action)]
        return _Bulk(self._compress(blocks), list(chain.from_iterable(by_index.values())))

    def _documents(self, batch: Batch, action: str) -> list[bytes]:
        """Return the documents of a batch, each with its action before it."""
        if self._schema == "none":
            return ndjson.encode(batch, ndjson.Layout(action, "@timestamp", batch.at))
        return ndjson.with_actions(batch, ndjson.encoder(self._schema), action)

    async def close(self) -> None:
        self._poster.close()


def _create_in(index: str) -> str:
    return _CREATE_IN.replace("<index>", index)


def _outcome(response: ClientResponse, events: int, order: list[int] | None = None) -> Outcome:
    """Return the outcome of a bulk response. `order`: see `_Bulk`.

    Raises BatchRefused if no document was accepted, and RetryLater if it is no bulk response: nothing is known then.
    """
    if _NO_ERRORS.match(response.body):
        return Outcome()
    if response.body.count(b"{") > _MOST_OBJECTS * events + _OTHER_OBJECTS or response.body.count(b"[") > _MOST_LISTS:
        raise RetryLater("the receiver's response is not that of a bulk request")  # an object takes 200 bytes of memory
    results = _results(response.body)
    if len(results) != events:
        raise RetryLater(f"the receiver responded about {len(results)} of {events} documents")
    if order is not None:
        results = [result for _, result in sorted(zip(order, results, strict=True), key=itemgetter(0))]
    rejected: list[tuple[int, str]] = []
    retry: list[int] = []
    for index, (status, error) in enumerate(results):
        if is_rejected(status) and status != 409:
            rejected.append((index, _reason(status, error)))
        elif not is_accepted(status) and status != 409:
            retry.append(index)
    if len(rejected) == events:
        raise BatchRefused(f"the receiver refused every document: {rejected[0][1]}", [why for _, why in rejected])
    if not rejected and not retry:
        return Outcome()
    reason = f"{len(retry)} of {events} documents: {_reason(*results[retry[0]])}" if retry else ""
    return Outcome(rejected=rejected, retry=retry, retry_reason=reason, retry_after=requested_delay(response))


def _results(body: bytes) -> list[tuple[int, Any]]:
    """Return status and error of each document. Raises RetryLater if the body is not that of a bulk response."""
    try:
        bulk = orjson.loads(body)
        found = [next(iter(item.values())) for item in bulk["items"]]
        results = [(result["status"], result.get("error")) for result in found]
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration):
        raise RetryLater("the receiver's response is not that of a bulk request") from None
    if any(type(status) is not int for status, _ in results):
        raise RetryLater("the receiver's response is not that of a bulk request")
    return results


def _reason(status: int, error: Any) -> str:
    """Return a text such as `400 document_parsing_exception: failed to parse field '…'`."""
    found = error if isinstance(error, dict) else {"reason": error}
    parts = [part for part in (found.get("type"), found.get("reason")) if isinstance(part, str) and part]
    return sanitized(f"{status} {': '.join(parts)}".rstrip())
