"""The sinks `splunk+http://` and `splunk+https://`: Splunk's HTTP Event Collector, with indexer acknowledgement.

A 200 means that the collector has parsed the request, and not that it is indexed. If the token has acknowledgement, the
reply has a number, and the sink asks for it until the indexer says true. Only then is the batch accepted.

Numbers count from 0 for each channel *on each indexer*. So behind a load balancer a question may reach another indexer,
which knows the same number for other events. This is how a false yes is ruled out:

- A batch has a connection for itself until it is decided. Each connection has a random channel, which nobody else has.
- Questions go over the connection that had the request, with the cookies that its responses have set.
- A new connection is a new channel, and all of the batch is sent again over it. None is ever replaced silently.
- The numbers of a channel must rise. A number that comes again is that of another indexer: one connection leads to
  several. Then nothing is taken from this channel, and from then on each request has a channel of its own.

So a channel and a number name one request, and an indexer that did not get this request can only say false.

| the receiver | the sink |
|---|---|
| says true for every request of the batch | accepts the batch |
| says false for `RESEND_AFTER` seconds, or closes the connection | sends the batch again |
| gives no number (the token has no acknowledgement) | accepts at the 200; with `SINK_ACK=required` it sends nothing |
| refuses a request and names the event | rejects this event, and sends the others of the request again |

Repeats: at least once, if the token has acknowledgement. The indexed field `id` is the same. Splunk drops no repeat:
`| dedup id`.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from sidecars.chassis.config.settings import variable
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.encodings.messages.splunk_events import Metadata, Request, encode
from sidecars.logshipper.sinks.encodings.target_names import TargetTemplate, clean_index, clean_value
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.over_http.splunk_connection import Ack, Poster, SeveralIndexers, SplunkConnection
from sidecars.logshipper.sinks.over_http.splunk_replies import InvalidEvent
from sidecars.logshipper.sinks.protocols.http_client import NoResponse
from sidecars.logshipper.sinks.protocols.http_post import request_target
from sidecars.logshipper.transform.parsing import name_templates

FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 1.0, 1.5, 10.0  # seconds between two questions for an acknowledgement
RESEND_AFTER = 300.0  # seconds of pauses
_MOST_NAMED = 16  # events of a batch that are rejected by their number; with more the batch is halved


def create(settings: Settings, sink: SinkSettings) -> SplunkSink:
    return SplunkSink(settings, sink)


class SplunkSink:
    """An event collector, or a load balancer in front of several. See `base.Sink`."""

    max_in_flight = 64

    def __init__(
        self, settings: Settings, sink: SinkSettings, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._settings = sink
        self._ack_setting = variable(Settings, "sink_ack", sink.name)
        self._prefix = request_target(sink, "").rstrip("/")
        self._targets = _EventTargets(sink)
        self._metadata = self._targets.metadata(settings.pod_name or socket.gethostname())
        self.targets = self._targets if self._targets.own else None
        self._headers = [("Content-Type", "application/json"), *content_encoding(sink.compression)]
        self._compress = compressor(sink.compression)
        self._poster = create_poster(settings, sink, token_scheme="Splunk")  # noqa: S106 - the scheme of the field, no token
        self._sleep = sleep
        self._idle: list[SplunkConnection] = []
        self._one_request_each = False

    async def open(self, receipt: Any) -> Any:
        self._poster.open()
        return self._targets.restore(receipt)

    def _poster_of_a_connection(self) -> Poster:
        return self._poster.pinned()

    async def deliver(self, batch: Batch) -> Outcome:
        while idle := self._idle_connection():
            try:
                return await self._deliver_over(idle, batch)
            except NoResponse:
                pass  # the receiver closed the idle connection: no failure yet, the next connection may work
        return await self._deliver_over(await self._connect(), batch)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _idle_connection(self) -> SplunkConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.one_request_each is self._one_request_each:
                return connection
            connection.close()
        return None

    async def _connect(self) -> SplunkConnection:
        connection = SplunkConnection(
            self._poster_of_a_connection(),
            self._prefix,
            self._ack_setting,
            acks=self._settings.sink_ack != "off",
            one_request_each=self._one_request_each,
        )
        if self._settings.sink_ack == "required":
            try:
                await connection.has_acknowledgement()
            except BaseException:
                connection.close()
                raise
        return connection

    async def _deliver_over(self, connection: SplunkConnection, batch: Batch) -> Outcome:
        """Deliver over the connection, and keep it if all went well. Raises NoResponse before anything was accepted."""
        try:
            named = await self._deliver(connection, batch)
        except SeveralIndexers:
            connection.close()
            self._one_request_each = True
            raise
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()
        return Outcome(self._targets.receipt, rejected=sorted(named.items()))

    # -- one batch -----------------------------------------------------------------------------------------------------

    async def _deliver(self, connection: SplunkConnection, batch: Batch) -> dict[int, str]:
        """Send every request, and wait until all are indexed. Return the events that are rejected, with the reasons."""
        waiting: list[Ack] = []
        named: dict[int, str] = {}
        requests = deque(await self._requests(batch, range(batch.events)))
        while requests:
            indices, request = requests.popleft()
            reply = await self._post(connection, request, is_first=not (waiting or named))
            if isinstance(reply, InvalidEvent):
                named[indices[reply.number]] = reply.reason
                if len(named) > _MOST_NAMED:
                    raise BatchRefused(reply.reason)
                rest = [index for index in indices if index not in named]
                requests.extendleft(reversed(await self._requests(batch.select(rest), rest) if rest else []))
            elif reply is not None:
                waiting.append(reply)
            elif self._settings.sink_ack == "required":
                raise RetryLater("the receiver's reply has no number to ask for its acknowledgement")
        if len(named) == batch.events:
            raise BatchRefused(named[0], [named[index] for index in range(batch.events)])
        await self._wait_for(connection, waiting)
        return named

    async def _requests(self, piece: Batch, indices: Sequence[int]) -> list[tuple[Sequence[int], Request]]:
        """Return the requests of the piece, and for each the indices of its events among those of the batch."""
        async with self._targets.in_order:
            found = await piece.encoded(self._encode)
        return [(indices[one.first : one.first + one.events], one) for one in found]

    def _encode(self, batch: Batch) -> list[Request]:
        return [replace(one, blocks=self._compress(one.blocks)) for one in self._targets.encode(batch, self._metadata)]

    async def _post(
        self, connection: SplunkConnection, request: Request, *, is_first: bool
    ) -> InvalidEvent | Ack | None:
        try:
            return await connection.post(request, self._headers, index_is_of_event="index" in self._targets.own)
        except NoResponse as error:
            if is_first and connection.is_used:
                raise
            raise RetryLater(error.reason) from None

    async def _wait_for(self, connection: SplunkConnection, waiting: Sequence[Ack]) -> None:
        """Return when all are indexed. Raises RetryLater if that takes too long, or the connection breaks."""
        left, waited, pause = list(waiting), 0.0, FIRST_PAUSE
        while left:
            if waited >= RESEND_AFTER:
                raise RetryLater(
                    f"the indexer has acknowledged nothing for {RESEND_AFTER:g} s; the batch is sent again"
                )
            await self._sleep(pause)
            waited += pause
            pause = min(_GROWTH * pause, _LONGEST_PAUSE)
            indexed = await connection.acknowledged(left)
            left = [ack for ack in left if ack not in indexed]

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._poster.close()


class _EventTargets:
    """The index and the source type of events: the same for all, or made by a template for each. Owned by the sink.

    `own`: the templates by the name of their member. `receipt`: their tables of names, see `TargetTemplate`.
    """

    def __init__(self, sink: SinkSettings) -> None:
        self._constant: dict[str, str] = {}
        self.own: dict[str, TargetTemplate] = {}
        for name, text, clean in (
            ("index", sink.sink_index, _clean_index),
            ("sourcetype", sink.sink_sourcetype, clean_value),
        ):
            parts = name_templates.parse(text or "")
            if name_templates.is_constant(parts):
                self._constant[name] = "".join(map(str, parts))
            elif text:
                self.own[name] = TargetTemplate(text, clean=clean)
        self.receipt: Any = {name: template.receipt for name, template in self.own.items()} or None
        self.in_order = asyncio.Lock()  # names are made in the order of the batches

    @property
    def overflowed(self) -> int:
        return sum(template.overflowed for template in self.own.values())

    def metadata(self, host: str) -> Metadata:
        return Metadata(host, **self._constant)

    def restore(self, receipt: Any) -> Any:
        """Take the tables of an earlier process from the sink's receipt. Return the receipt from now on."""
        for name, template in self.own.items():
            template.restore(receipt.get(name) if isinstance(receipt, dict) else None)
        return self.receipt

    def encode(self, batch: Batch, metadata: Metadata) -> list[Request]:
        return encode(batch, metadata, {name: template.names(batch) for name, template in self.own.items()} or None)


def _clean_index(value: str) -> str:
    """Return the value in the characters of an index of Splunk's: lower case, digits, `_` and `-`."""
    return clean_index(value).replace(".", "_")
