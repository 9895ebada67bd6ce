"""Asking the app. The one place that talks to it, and that knows the client library's errors.

However many probers ask, an app is asked each question once at a time: whoever comes while a request is under way
shares its outcome (*single flight*). A request has one deadline for everything, from the connection to the last byte,
so an outcome always comes in time, whatever the app does.

Connections are kept for a few seconds only, less than servers keep theirs. Should the app close one at the very moment
at which it is used again, the question is asked once more on a fresh connection: such a race is not the app's failure.

`/livez` fails when a request outlives its deadline by far: then this process no longer does its work.
"""

from __future__ import annotations

import asyncio
import errno
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

import chassis
from chassis import logs
from chassis.health import Health, Pulse
from chassis.kinds import show_duration, show_size
from sidecars.adapter.outcome import NoReply, Outcome, Question, Reply
from sidecars.adapter.record import Record

log = logs.get("upstream")

_KEEP = 4.0  # seconds; node and uvicorn close an idle connection after 5
_OVERDUE = 10.0  # seconds beyond its deadline after which a request is a sign that nothing moves any more

# Fixed, since the answer is shared: nothing of a prober's request is handed on. `identity` asks for plain bytes; what
# comes compressed all the same is passed on as it is and never unpacked here.
_REQUEST_HEADERS = {
    "User-Agent": f"sidecars-adapter/{chassis.__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


class TooLarge(Exception):
    """The body is larger than is taken."""


class Upstream:
    """The apps, as something that can be asked. An async context: it holds connections."""

    def __init__(self, record: Record, health: Health) -> None:
        self._record = record
        self._health = health
        self._flights: dict[Question, asyncio.Task[Outcome]] = {}
        self._pulses: dict[Question, Pulse] = {}
        self._pooled = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP))
        self._fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        await self._pooled.close()
        await self._fresh.close()

    async def ask(self, question: Question) -> Outcome:
        """What comes of the question, at its deadline at the latest. Never raises for anything that the app does."""
        flight = self._flights.get(question)
        if flight is None:
            flight = self._flights[question] = asyncio.create_task(self._fly(question))
        return await asyncio.shield(flight)

    async def _fly(self, question: Question) -> Outcome:
        """One request under way, from its count to its outcome."""
        app = self._record.apps[question.app]
        pulse = self._pulse(question)
        pulse.beat()
        app.requests += 1
        try:
            outcome = await self._outcome(question)
        finally:
            pulse.idle()
            del self._flights[question]
        app.outcome(outcome)
        return outcome

    def _pulse(self, question: Question) -> Pulse:
        pulse = self._pulses.get(question)
        if pulse is None:
            pulse = self._health.pulse(f"request for {question.url}", question.timeout + _OVERDUE)
            self._pulses[question] = pulse
        return pulse

    async def _outcome(self, question: Question) -> Outcome:
        """Everything that can go wrong, translated."""
        progress = _Progress()
        try:
            async with asyncio.timeout(question.timeout):
                return await self._reply(question, progress)
        except TimeoutError:
            return NoReply("timeout", f"{progress.phrase()} within {show_duration(question.timeout)}")
        except TooLarge:
            return NoReply("too_large", f"answered with more than {show_size(question.max_body)}")
        except (aiohttp.ClientError, OSError) as error:
            return translated(error, progress.phrase())
        except Exception as error:  # noqa: BLE001 - a prober is answered whatever happens, and we hear of it
            log.defect(f"a defect while asking {question.url}: please report the traceback", error)
            return NoReply("defect", f"could not be asked: {type(error).__name__}")

    async def _reply(self, question: Question, progress: _Progress) -> Reply:
        try:
            return await _get(self._pooled, question, progress)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if progress.status:
                raise
            return await _get(self._fresh, question, progress)


class _Progress:
    """How far a request has come, for the sentence about its end."""

    __slots__ = ("received", "status")

    def __init__(self) -> None:
        self.status = 0
        self.received = 0

    def phrase(self) -> str:
        if not self.status:
            return "did not answer"
        return f"began an answer with the status {self.status}, but did not end it after {self.received} B of its body"


async def _get(session: aiohttp.ClientSession, question: Question, progress: _Progress) -> Reply:
    url = URL(question.url, encoded=True)
    async with session.get(url, allow_redirects=False) as response:
        progress.status = response.status
        if (response.content_length or 0) > question.max_body:
            raise TooLarge
        parts: list[bytes] = []
        while part := await response.content.readany():
            progress.received += len(part)
            if progress.received > question.max_body:
                raise TooLarge
            parts.append(part)
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), value)
        return Reply(response.status, headers, b"".join(parts))


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers=_REQUEST_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # `_outcome` keeps the one deadline
        trust_env=False,
    )


def translated(error: Exception, progress: str) -> NoReply:
    """The client library's errors in our words. None of them repeats what the app has sent."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NoReply("unresolved", "cannot be asked: its host name has no address")
        case aiohttp.ClientConnectorError(os_error=cause):
            return _unreachable(cause)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return NoReply("closed", f"{progress}: it closed the connection")
        case OSError():
            return _unreachable(error)
        case _:
            return NoReply("malformed", "answered with what is not HTTP, or with too large a head")


def _unreachable(cause: OSError) -> NoReply:
    if cause.errno == errno.ECONNREFUSED:
        return NoReply("refused", "cannot be asked: connection refused; is the app up?")
    return NoReply("unreachable", f"cannot be asked: {cause.strerror or type(cause).__name__}")
