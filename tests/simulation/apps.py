"""Apps in virtual time: they send requests, whatever becomes of those before, and wait for each for a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.upstream.access_log import Failures
from sidecars.ambassador.upstream.upstream import Upstream
from tests.simulation.clock import VirtualLoop
from tests.simulation.replicas import exponential

GOOD = "good"


class App:
    """One client: requests at random times with this mean rate a second, over one connection of its own."""

    def __init__(
        self,
        upstream: Upstream,
        loop: VirtualLoop,
        dice: random.Random,
        rate: Callable[[float], float],
        *,
        patience: float = 1.0,
        head: bytes = b"GET / HTTP/1.1\r\nHost: orders",
    ) -> None:
        """`rate` of the time since the beginning; `patience` in seconds, after which nobody waits for a response."""
        self.upstream = upstream
        self.loop = loop
        self.patience = patience
        self.head = head
        self._dice = dice
        self._rate = rate
        self._began = loop.now
        self.live: dict[Call, None] = {}
        self.results: Counter[int | str] = Counter()  # by status; GOOD: 200 in time; 499: nobody waited any longer
        self.sent_at: Counter[int] = Counter()  # requests by the second in which they were sent
        self.good_at: Counter[int] = Counter()  # good responses by the second in which they came
        self.served_of: Counter[int] = Counter()  # good responses by the second in which their requests were sent
        self.failed_at: Counter[int] = Counter()  # responses of 5xx by the second in which they came
        self.latencies: list[float] = []  # of good responses
        self.answered: list[tuple[float, float]] = []  # when any response came, and its latency

    @property
    def now(self) -> float:
        """The time since the beginning."""
        return self.loop.now - self._began

    @property
    def sent(self) -> int:
        return self.sent_at.total()

    def start(self) -> None:
        self._wait()

    def _wait(self) -> None:
        rate = self._rate(self.now)
        if rate > 0:
            self.loop.call_later(exponential(self._dice, rate), self._send)
        else:
            self.loop.call_later(0.1, self._wait)

    def _send(self) -> None:
        if self._rate(self.now) > 0:
            self.sent_at[int(self.now)] += 1
            Call(self).begin()
        self._wait()

    def tick(self) -> None:
        """Apply the time-outs of exchanges, as the connections of the app do once a second."""
        for call in list(self.live):
            if call.exchange is not None:
                call.exchange.tick(self.loop.now)

    def on_end(self, call: Call, status: int) -> None:
        self.live.pop(call, None)
        seconds = self.loop.now - call.began
        if status == 200 and seconds <= self.patience:
            self.results[GOOD] += 1
            self.good_at[int(self.now)] += 1
            self.served_of[int(call.began - self._began)] += 1
            self.latencies.append(seconds)
        elif status >= 500:
            self.failed_at[int(self.now)] += 1
        self.results[status] += 1
        self.answered.append((self.now, seconds))


class Call(AppSide):
    """One request of an app."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app
        self.began = app.loop.now
        self.exchange: Exchange | None = None

    def begin(self) -> None:
        app = self._app
        request = app.upstream.request_parser.parse(app.head, len(app.head))
        exchange = self.exchange = Exchange(self, app.upstream, request)
        app.live[self] = None
        app.loop.call_later(app.patience, self._leave)
        if app.upstream.admission.admit(exchange):
            exchange.start(exchange.started)

    def _leave(self) -> None:
        exchange = self.exchange
        if exchange is not None and not exchange.over:
            self.exchange = None
            exchange.abandon(GONE)
            self._app.on_end(self, GONE)

    def turn_key(self) -> object:
        return self._app

    def peer_host(self) -> str:
        return "127.0.0.1"

    def serves(self, exchange: object) -> bool:
        return self.exchange is exchange

    def has_left(self) -> bool:
        return self.exchange is None

    def respond_whole(
        self,
        request: Request,  # noqa: ARG002 - of the interface
        response: Response,
        body: bytes,  # noqa: ARG002 - of the interface
        trailers: Sequence[Field],  # noqa: ARG002 - of the interface
        *,
        complete: bool,  # noqa: ARG002 - of the interface
    ) -> None:
        self._app.on_end(self, response.status)

    def reply(self, request: Request, cause: Cause, failures: Failures, *, complete: bool) -> None:  # noqa: ARG002 - of the interface
        self._app.upstream.counters.count_error(cause.error_type)
        self._app.on_end(self, cause.status)

    def finish(self, now: float) -> None:  # noqa: ARG002 - of the interface
        self.exchange = None

    def read_on(self) -> None:
        """Do nothing: requests have no bodies here."""

    def reject(self, status: int, reason: str) -> None:
        raise NotImplementedError

    def tell_to_continue(self) -> None:
        raise NotImplementedError

    def interim(self, request: Request, response: Response) -> None:
        raise NotImplementedError

    def respond(self, request: Request, response: Response, *, complete: bool) -> None:
        raise NotImplementedError

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        raise NotImplementedError

    def end(self, request: Request, trailers: Sequence[Field], *, complete: bool) -> None:
        raise NotImplementedError

    def cut(self, cause: Cause) -> None:
        raise AssertionError(f"a response was cut: {cause}")

    def reset(self) -> None:
        raise AssertionError("a defect ended an exchange")

    def hand_over(self) -> Handover:
        raise NotImplementedError
