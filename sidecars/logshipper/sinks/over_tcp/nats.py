"""The sinks `nats://` and `nats+tls://`: records into a stream of NATS JetStream, each under its id.

The protocol is in `nats_session`. A record is that of the other sinks, in JSON.

Accepted: the stream acknowledged the publication: it is stored, on as many servers as the stream has replicas. If the
connection breaks, what was acknowledged stays accepted, and the other events are sent again.

Repeats: `Nats-Msg-Id` is the id. A stream drops a message whose id it has seen within its `duplicate_window`, 2 minutes
unless it is set. So a restart within that time leaves every line exactly once.

Rejected: an event that is larger than the server's `max_payload` or the stream's largest message, if another event was
accepted. Without a stream for the subject nothing is rejected: the lines wait until somebody creates it.
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from sidecars.chassis.http.connecting import connect_error
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.over_tcp.nats_session import Ack, NatsSession, SessionFailed
from sidecars.logshipper.sinks.over_tcp.stream_connection import StreamConnection, StreamReceiver, open_stream
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed
from sidecars.logshipper.sinks.protocols.credentials import read_secret

_PORT = 4222
_WINDOW, _SLICE = 1024, 128  # publications that are not acknowledged, at most; publications that are sent at once

Events = Sequence[tuple[bytes, bytes]]
"""The id and the record of each event."""


def create(_settings: Settings, sink: SinkSettings) -> NatsSink:
    return NatsSink(sink)


class NatsSink:
    """A subject that a stream takes. Each batch in flight has a connection of its own. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._receiver: StreamReceiver[_Connection] = StreamReceiver(settings, _PORT)
        self._subject = str(settings.url.target).strip("/")
        self._encode = ndjson.encoder(settings.sink_schema)

    async def open(self, _receipt: Any) -> None:
        self._receiver.open()

    async def deliver(self, batch: Batch) -> Outcome:
        progress = _Progress(await batch.encoded(self._events))
        reason = await self._receiver.attempt(partial(self._deliver, progress))
        return progress.outcome(reason)

    async def _deliver(self, progress: _Progress, context: ssl.SSLContext | None) -> None:
        while idle := self._receiver.idle.take(context):
            try:
                return await self._exchange(idle, progress)
            except (ConnectionFailed, SessionFailed):
                if progress.has_begun:
                    raise
                # the server closed the idle connection: no failure yet, the next connection may work
        return await self._exchange(await self._connect(context), progress)

    async def _connect(self, context: ssl.SSLContext | None) -> _Connection:
        session = NatsSession(self._subject, f"_INBOX.{uuid.uuid4().hex}")
        connection = _Connection(session, context, *await open_stream(self._receiver.host, self._receiver.port, None))
        try:
            await connection.begin(self._receiver.host, self._receiver.port, self._credentials())
        except BaseException:
            connection.abort()
            raise
        return connection

    def _credentials(self) -> dict[str, str]:
        settings = self._settings
        if settings.sink_token is not None:
            return {"auth_token": read_secret(settings.sink_token, settings, "sink_token")}
        if settings.sink_username is not None and settings.sink_password is not None:
            password = read_secret(settings.sink_password, settings, "sink_password")
            return {"user": settings.sink_username, "pass": password}
        return {}

    async def _exchange(self, connection: _Connection, progress: _Progress) -> None:
        try:
            await connection.exchange(progress)
        except BaseException:
            connection.abort()
            raise
        self._receiver.idle.keep(connection)

    def _events(self, batch: Batch) -> Events:
        records = b"".join(self._encode(batch)).split(b"\n")[:-1]
        return list(zip(map(str.encode, batch.ids()), records, strict=True))

    async def close(self) -> None:
        while idle := self._receiver.idle.take_any():
            idle.abort()


class _Progress:
    """The events of one attempt, and the stream's decision on each. Owned by one `deliver`."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.has_begun = False  # True if the server has decided on an event
        self._accepted = bytearray(len(events))
        self._rejected: dict[int, str] = {}
        self._reason = ""  # of the first event that the stream did not take

    def take(self, ack: Ack, index: int) -> None:
        self.has_begun = True
        if not ack.reason:
            self._accepted[index] = 1
        elif ack.is_final:
            self._rejected[index] = ack.reason
        else:
            self._reason = self._reason or ack.reason

    def reject(self, index: int, reason: str) -> None:
        self._rejected[index] = reason

    def outcome(self, reason: str) -> Outcome:
        """Return the outcome. Raises RetryLater or BatchRefused if nothing was accepted."""
        count = len(self.events)
        retry = [index for index in range(count) if not self._accepted[index] and index not in self._rejected]
        reason = self._reason or reason
        if not any(self._accepted):
            if retry:
                raise RetryLater(reason)
            raise BatchRefused(self._rejected[0], [self._rejected[index] for index in range(count)])
        return Outcome(rejected=sorted(self._rejected.items()), retry=retry, retry_reason=reason if retry else "")


class _Connection(StreamConnection):
    """One connection, with its session."""

    def __init__(
        self,
        session: NatsSession,
        context: ssl.SSLContext | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(context, reader, writer)
        self._session = session

    async def begin(self, host: str, port: int, credentials: dict[str, str]) -> None:
        """Read the server's INFO, begin TLS if there is a context, and say who we are.

        The server speaks first, without TLS. No byte of ours is sent before the handshake.
        """
        session = self._session
        while session.info is None:
            session.receive(await self.read())
        if self.context is not None:
            try:
                await self._writer.start_tls(self.context, server_hostname=host)
            except OSError as error:
                raise ConnectionFailed(connect_error(error, host, port)) from None
        elif session.info.tls_required:
            raise SessionFailed("the server requires TLS: use nats+tls")
        if not session.info.headers:
            raise SessionFailed("the server supports no headers, which ids and acknowledgements need")
        await self.send([session.opening(credentials, tls=self.context is not None)])
        while not session.is_open:
            session.receive(await self.read())

    async def exchange(self, progress: _Progress) -> None:
        """Publish every event, _WINDOW of them ahead of the acknowledgements, and wait for all of these.

        Raises ConnectionFailed or SessionFailed.
        """
        session, sent = self._session, 0
        indices = self._small_enough(progress)
        first = session.next
        while sent < len(indices) or session.awaited:
            while sent < len(indices) and session.awaited <= _WINDOW - _SLICE:
                some = indices[sent : sent + _SLICE]
                await self.send([session.publish([progress.events[index] for index in some])])
                sent += len(some)
            for ack in session.receive(await self.read()):
                progress.take(ack, indices[ack.number - first])
            if pongs := session.pongs():
                await self.send([pongs])

    def _small_enough(self, progress: _Progress) -> list[int]:
        """Return the indices of the events that the server takes, and reject the others."""
        largest = self._session.info.max_payload if self._session.info else 0
        indices = []
        for index, (ident, record) in enumerate(progress.events):
            if self._session.size(ident, record) <= largest:
                indices.append(index)
            else:
                progress.reject(index, f"it is larger than the server's max_payload of {largest} bytes")
        return indices
