"""One connection to Splunk's event collector: its channel, its cookies, and the numbers of its acknowledgements.

Numbers count from 0 for each channel on each indexer. A channel is a random UUID that belongs to this connection alone,
and its numbers must rise: so a channel and a number name one request, whichever indexer is asked.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.limits import SHORT_RESPONSE
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings.messages.splunk_events import Request
from sidecars.logshipper.sinks.over_http.splunk_replies import InvalidEvent, read_acknowledgements, read_reply

_MOST_COOKIES, _LONGEST_COOKIE = 16, 4096  # of one connection; characters of one
_COOKIE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!-~]*)")  # RFC 6265, 4.1.1, and what balancers set beyond it


class Poster(Protocol):
    """The part of `HttpPoster` that is used here."""

    async def post(
        self, target: str, headers: Sequence[tuple[str, str]], blocks: Sequence[bytes], max_body: int | None = None
    ) -> ClientResponse: ...

    @property
    def is_connected(self) -> bool: ...

    def close(self) -> None: ...


class Ack(NamedTuple):
    """The acknowledgement that a request waits for."""

    channel: str
    number: int


class SeveralIndexers(RetryLater):
    """The connection leads to several indexers."""


class SplunkConnection:
    """One connection. A batch has it for itself until it is decided. Owned by the `SplunkSink` that made it.

    `acks`: False without acknowledgement: the connection has no channel. `one_request_each`: each request gets a
    channel of its own, for connections that lead to several indexers. `prefix`: the path before the collector's.
    """

    def __init__(self, poster: Poster, prefix: str, ack_setting: str, *, acks: bool, one_request_each: bool) -> None:
        self.is_used = False  # True if a request was answered on it
        self._poster = poster
        self._event, self._ack = f"{prefix}/services/collector/event", f"{prefix}/services/collector/ack"
        self._ack_setting = ack_setting
        self._acks = acks
        self.one_request_each = one_request_each
        self._cookies: dict[str, str] = {}
        self._begin_channel()

    def _begin_channel(self) -> None:
        self.channel = str(uuid.uuid4())
        self._last_number = -1

    @property
    def is_open(self) -> bool:
        return self._poster.is_connected

    async def post(
        self, request: Request, headers: Sequence[tuple[str, str]], *, index_is_of_event: bool
    ) -> InvalidEvent | Ack | None:
        """Send a request of events. Return its acknowledgement; None if the token has none.

        Raises RetryLater, BatchRefused or BatchTooLarge.
        """
        if self.one_request_each and self._last_number >= 0:
            self._begin_channel()
        response = await self._send(self._event, headers, request.blocks)
        reply = read_reply(response, request.events, self._ack_setting, index_is_of_event=index_is_of_event)
        if isinstance(reply, InvalidEvent):
            return reply
        if reply.ack_id is None or not self._acks:
            return None
        if reply.ack_id <= self._last_number:
            raise SeveralIndexers(
                "the numbers of a channel did not rise, so one connection leads to several indexers; from now on each "
                "request has a channel of its own (better: sticky sessions at the load balancer)"
            )
        self._last_number = reply.ack_id
        return Ack(self.channel, reply.ack_id)

    async def has_acknowledgement(self) -> None:
        """Ask for a number that the channel does not have yet.

        Raises RetryLater if the token has no acknowledgement.
        """
        if await self._ask(self.channel, [0]):
            raise RetryLater("the receiver acknowledges what was never sent")

    async def acknowledged(self, waiting: Sequence[Ack]) -> set[Ack]:
        """Ask, over this connection, which of these are indexed. Raises RetryLater."""
        if not self.is_open:
            raise RetryLater("the receiver closed the connection before it acknowledged the events")
        found: set[Ack] = set()
        for channel in dict.fromkeys(ack.channel for ack in waiting):
            numbers = [ack.number for ack in waiting if ack.channel == channel]
            found |= {Ack(channel, number) for number in await self._ask(channel, numbers)}
        return found

    async def _ask(self, channel: str, numbers: Sequence[int]) -> set[int]:
        body = b'{"acks":[%b]}' % b",".join(b"%d" % number for number in numbers)
        response = await self._send(self._ack, [("Content-Type", "application/json")], [body], channel)
        return read_acknowledgements(response, numbers, self._ack_setting)

    async def _send(
        self, target: str, headers: Sequence[tuple[str, str]], blocks: Sequence[bytes], channel: str = ""
    ) -> ClientResponse:
        more = [("X-Splunk-Request-Channel", channel or self.channel)] if self._acks else []
        if self._cookies:
            more.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self._cookies.items())))
        response = await self._poster.post(target, [*headers, *more], blocks, SHORT_RESPONSE)
        self.is_used = True
        keep_cookies(self._cookies, response.set_cookies)
        return response

    def close(self) -> None:
        self._poster.close()


def keep_cookies(cookies: dict[str, str], set_cookies: Sequence[str]) -> Mapping[str, str]:
    """Take the cookies of a response over. One without a value is removed; those beyond the limits are ignored."""
    for field in set_cookies:
        cookie = _COOKIE.fullmatch(field.partition(";")[0].strip()[:_LONGEST_COOKIE])
        if not cookie:
            continue
        name, value = cookie.groups()
        if not value:
            cookies.pop(name, None)
        elif name in cookies or len(cookies) < _MOST_COOKIES:
            cookies[name] = value
    return cookies
