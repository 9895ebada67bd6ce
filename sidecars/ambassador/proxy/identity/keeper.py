"""The credentials of one upstream, kept fresh: one fetch at a time, before the end of those in force.

    state                                      what a request finds        what the tick does
    none yet, a fetch is under way             it waits, with its deadline
    none, the last fetch has failed            503 with the reason         fetches after 1, 2, 4 … 30 s
    in force                                   them                        fetches at `renew_at`
    in force, the last fetch has failed        them, until their end       fetches again after 30 s at most
    rejected by the endpoint (401)             them                        fetches at once, once in a minute

Readiness is held while there are none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch

log = logs.get("ambassador")

NEVER: Final = float("inf")
_LONGEST_FETCH: Final = 60.0  # seconds; each request of it has its own, shorter time
_FIRST_PAUSE: Final = 1.0  # seconds after a failure
_LONGEST_PAUSE: Final = 30.0
_BETWEEN_FETCHES: Final = 1.0  # seconds: credentials may come that are near their end, again and again
_BETWEEN_REJECTIONS: Final = 60.0  # seconds
_LOG_AGAIN: Final = 60.0  # seconds between two log lines about the same upstream


class Credentials:
    """The result of one fetch. The other times are those of the monotonic clock, in seconds."""

    __slots__ = ("ends", "keys", "line", "renew_at")

    def __init__(self, ends: float, renew_at: float, line: bytes = b"", keys: AwsKeys | None = None) -> None:
        self.ends = ends
        self.renew_at = renew_at
        self.line = line  # the field line of a token, behind a CR LF
        self.keys = keys  # those of a signature


class Waiter(Protocol):
    """An exchange that waits for credentials, as far as the keeper uses it."""

    over: bool  # True if it has ended


Fetch = Callable[[], Awaitable[Credentials]]


class Keeper:
    """The credentials of one upstream, whose identity owns it."""

    def __init__(
        self,
        upstream: Upstream,
        latch: ReadinessLatch,
        fetch: Fetch,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`latch` is held until there are credentials. `fetch` raises NoCredentials."""
        self._monotonic = monotonic
        self._upstream = upstream
        self._latch = latch
        self._fetch = fetch
        self.current: Credentials | None = None
        self.ends = 0.0  # of the credentials in force; 0 without any
        self.came_at = 0.0  # when they came
        self.fetches: int = 0
        self.failures: int = 0  # since the last success
        self._fetch_at = 0.0
        self._reason = ""  # why the last fetch has failed
        self._rejected_at = -_BETWEEN_REJECTIONS
        self._logged_at = -_LOG_AGAIN
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Waiter, Callable[[], object]]] = []

    @property
    def is_fetching(self) -> bool:
        return self._task is not None

    def tick(self, now: float) -> None:
        """Begin a fetch if it is time for one."""
        if self._task is None and now >= self._fetch_at:
            self._begin()
        if self.ends <= now and self.current is not None:
            self._latch.hold(f"its credentials have ended: {self._reason}")

    def wait(self, waiter: Waiter, go_on: Callable[[], object], now: float) -> Cause | None:
        """Call `go_on` after the next fetch, if the waiter is not over by then.

        Return the cause if nothing may be awaited: the last fetch has failed, or too many wait.
        """
        if self._task is None:
            if now < self._fetch_at:
                return Cause(
                    "proxy_internal_error",
                    503,
                    f"there are no credentials for the upstream: {self._reason}",
                    own_fault=True,
                )
            self._begin()
        most = self._upstream.settings.max_pending
        if len(self._waiting) >= most:  # whose app has left waits no more
            self._waiting = [one for one in self._waiting if not one[0].over]
        if len(self._waiting) >= most:
            return local_replies.TOO_MANY_PENDING
        self._waiting.append((waiter, go_on))
        return None

    def reject(self, since: float, now: float) -> bool:
        """Note that an endpoint has refused the credentials of a request that began then.

        Return True if others are there already, or a fetch is under way that may bring them: once in a minute.
        """
        if self.came_at > since or self._task is not None:
            return True
        if now < self._rejected_at + _BETWEEN_REJECTIONS:
            return False
        self._rejected_at = now
        self._begin()
        return True

    def close(self) -> None:
        """End a fetch that is under way."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    # -- a fetch --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.fetches += 1
        self._task = self._upstream.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_FETCH):
                found = await self._fetch()
        except NoCredentials as error:
            self._fail(error.reason)
        except TimeoutError:
            self._fail(f"they did not come in {_LONGEST_FETCH:g} s")
        except Exception as defect:  # noqa: BLE001 - the next fetch may do better
            self._upstream.defects.note(defect)
            self._fail("a defect of the ambassador, which its log describes")
        else:
            self._take(found)
        finally:
            self._task = None
        waiting, self._waiting = self._waiting, []
        for waiter, go_on in waiting:
            if not waiter.over:
                self._upstream.loop.call_soon(go_on)

    def _take(self, found: Credentials) -> None:
        now = self._monotonic()
        if found.ends <= now:
            self._fail("they have ended already: is this clock right?")
            return
        if self.failures:
            log.info("credentials can be had again", upstream=self._upstream.name)
        before = self.current
        is_new = before is None or before.line != found.line or before.keys != found.keys
        self.failures, self._reason = 0, ""
        self.ends, self._fetch_at = found.ends, max(found.renew_at, now + _BETWEEN_FETCHES)
        if is_new:
            self.current = found
            self.came_at = now
        self._latch.release()

    def _fail(self, reason: str) -> None:
        now = self._monotonic()
        self.failures += 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.failures - 1, 10))
        self._fetch_at = now + pause * (0.75 + 0.25 * random.random())  # noqa: S311 - to spread
        self._reason = reason
        if self.ends <= now:
            self._latch.hold(f"it has no credentials: {reason}")
        if now - self._logged_at >= _LOG_AGAIN:
            self._logged_at = now
            log.warning(
                "the credentials for an upstream cannot be had",
                code="upstream-credentials-missing",
                upstream=self._upstream.name,
                seconds_left=max(0, round(self.ends - now)),
                reason=reason,
            )
