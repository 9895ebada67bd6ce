"""The sinks `relp://` and `relp+tls://`: syslog messages over RELP, each with a response of its own.

The messages are those of `syslog` (RFC 5424), and the protocol is in `relp_session`.

Accepted: the receiver responded with 200 to every message of the event. rsyslog does so when the message is in its
queue. If the connection breaks, what was accepted stays accepted, and the other events are sent again.

Retried: an event whose response has another code. Rejected: never. RELP does not say that an event will never be taken.

Long events are split over several messages (`SINK_MAX_MESSAGE`): rsyslog cuts a message at its `maxMessageSize`, 8 KiB
unless it is set, and responds with 200 nevertheless.

Repeats: at least once. The `id` in the structured data is the same, and the `part` of a message that is one of several.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.messages.syslog_frames import Messages, encode_messages
from sidecars.logshipper.sinks.over_tcp.relp_session import RelpSession
from sidecars.logshipper.sinks.over_tcp.stream_connection import StreamConnection, StreamReceiver, open_stream
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed

_PORT = 514  # that of rsyslog's omrelp
_WINDOW, _SLICE = 1024, 256  # messages that are not responded to, at most; messages that are sent at once


def create(_settings: Settings, sink: SinkSettings) -> RelpSink:
    return RelpSink(sink)


class RelpSink:
    """An rsyslog, or another receiver of RELP. Each batch in flight has a connection of its own. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._receiver: StreamReceiver[_Connection] = StreamReceiver(settings, _PORT)

    async def open(self, _receipt: Any) -> None:
        self._receiver.open()

    async def deliver(self, batch: Batch) -> Outcome:
        messages = await batch.encoded(self._encode)
        progress = _Progress(messages)
        reason = await self._receiver.attempt(partial(self._deliver, progress))
        return progress.outcome(reason or f"the receiver did not accept a message: {progress.refusal}")

    async def _deliver(self, progress: _Progress, context: ssl.SSLContext | None) -> None:
        while idle := self._receiver.idle.take(context):
            if not idle.session.has_room(len(progress.messages.frames)):
                idle.close(idle.session.closing())
                continue
            try:
                return await self._exchange(idle, progress)
            except ConnectionFailed:
                if progress.has_begun:
                    raise
                # the receiver closed the idle connection: no failure yet, the next connection may work
        connection = _Connection(context, *await open_stream(self._receiver.host, self._receiver.port, context))
        return await self._exchange(connection, progress)

    async def _exchange(self, connection: _Connection, progress: _Progress) -> None:
        try:
            await connection.exchange(progress)
        except BaseException:
            connection.abort()
            raise
        progress.refusal, connection.session.refusal = connection.session.refusal, ""
        if connection.session.has_ended:
            connection.abort()
        else:
            self._receiver.idle.keep(connection)

    def _encode(self, batch: Batch) -> Messages:
        return encode_messages(batch, batch.at, self._settings.sink_max_message)

    async def close(self) -> None:
        while idle := self._receiver.idle.take_any():
            idle.close(idle.session.closing())


class _Progress:
    """The messages of one attempt, and which of them the receiver has accepted. Owned by one `deliver`."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.has_begun = False  # True if the receiver has responded to a message
        self.refusal = ""
        self._accepted = bytearray(len(messages.frames))  # 1 for each message that is accepted

    def accept(self, indices: Iterable[int]) -> None:
        for index in indices:
            self.has_begun = True
            self._accepted[index] = 1

    def outcome(self, reason: str) -> Outcome:
        """Return the outcome: an event is accepted if all its messages are. Raises RetryLater if none is."""
        events = self.messages.events
        missing = sorted({event for event, accepted in zip(events, self._accepted, strict=True) if not accepted})
        if missing and len(missing) == events[-1] + 1:
            raise RetryLater(reason)
        return Outcome(retry=missing, retry_reason=reason if missing else "")


class _Connection(StreamConnection):
    """One connection, with its session."""

    def __init__(
        self, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(context, reader, writer)
        self.session = RelpSession()

    async def exchange(self, progress: _Progress) -> None:
        """Send every message, _WINDOW of them ahead of the responses, and wait for all responses.

        Raises ConnectionFailed or SessionFailed.
        """
        session, frames, sent = self.session, progress.messages.frames, 0
        if not session.is_open:
            await self.send([session.opening()])
            while not session.is_open:
                session.receive(await self.read())
        first = session.next
        while sent < len(frames) or session.awaited:
            while sent < len(frames) and session.awaited <= _WINDOW - _SLICE:
                await self.send([session.send(frames[sent : sent + _SLICE])])
                sent += _SLICE
            progress.accept(number - first for number in session.receive(await self.read()))
            if session.has_ended and (sent < len(frames) or session.awaited):
                raise ConnectionFailed("the receiver ended the session")
