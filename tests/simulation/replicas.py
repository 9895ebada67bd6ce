"""The replicas of an upstream: some workers each, a queue before them, and the faults of a scenario.

A replica works on as many requests at once as it has workers. Further ones wait in its queue, first in, first out. It
does not notice that nobody waits for an answer any more: most servers do not, and that is what makes an overload last.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from math import log

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, ResponseReceiver, UpstreamSide
from tests.simulation.clock import VirtualLoop

_SIGMA = 0.4  # of the logarithm of a service time
_REFUSES_IN = 0.001  # seconds
_responses: dict[tuple[int, bytes], Response] = {}


class Side(UpstreamSide):
    """One attempt at one replica."""

    def __init__(self, replica: Replica, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._replica = replica
        self.exchange: ResponseReceiver | None = None
        self.expires_at = 0.0  # what DEADLINE_HEADER has told; 0: nothing

    def begin(
        self,
        exchange: ResponseReceiver,
        authority: bytes,  # noqa: ARG002 - of the interface
        credentials: bytes,
        pieces: Sequence[bytes],  # noqa: ARG002 - of the interface
        size: int,  # noqa: ARG002 - of the interface
        trailers: Sequence[Field],  # noqa: ARG002 - of the interface
        *,
        done: bool,  # noqa: ARG002 - of the interface
    ) -> None:
        self.exchange = exchange
        self._replica.submit(self, credentials)

    def respond(self, status: int, now: float) -> None:
        """Give the exchange its response, unless it has let go."""
        exchange = self.exchange
        if exchange is None:
            return
        response = _response(status, exchange.request)
        if exchange.accept(response, now):
            self.exchange = None
            exchange.release()
            exchange.respond_whole(response, b"", (), now)

    def drop(self) -> None:
        self.exchange = None

    def send(self, pieces: Sequence[bytes], size: int, trailers: Sequence[Field], *, done: bool) -> None:
        raise NotImplementedError("requests have no bodies here")

    def taken(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Do nothing: responses come whole."""

    def resume_reading(self) -> None:
        """So, too."""

    def read_small(self) -> None:
        """So, too."""

    def hand_over(self) -> Transport:
        raise NotImplementedError


def _response(status: int, request: Request) -> Response:
    found = _responses.get((status, request.method))
    if found is None:
        head = b"HTTP/1.1 %d -\r\nContent-Length: 0" % status
        found = _responses[status, request.method] = parse_response(head, request)
    return found


class Replica:
    """One replica. A scenario changes its public attributes while it runs."""

    def __init__(self, loop: VirtualLoop, dice: random.Random, *, workers: int = 4, seconds: float = 0.04) -> None:
        """`seconds` is the mean service time."""
        self._loop = loop
        self._dice = dice
        self.workers = workers
        self.seconds = seconds
        self.failing = 0.0  # the share of the requests that get a 503, after a tenth of the service time
        self.is_dead = False  # True if its host does not answer at all
        self.obeys_deadlines = False  # True if it drops a request whose deadline has passed, before it works on it
        self.most_queued: int | None = None  # what its queue holds; beyond that it answers 503 at once
        self.busy = 0
        self.queue: deque[Side] = deque()
        self.attempts = 0  # that have reached it
        self.served = 0  # with its work, whether anybody waited for it or not

    def submit(self, side: Side, credentials: bytes) -> None:
        self.attempts += 1
        if self.is_dead:
            return
        if self.obeys_deadlines:
            side.expires_at = self._loop.now + int(credentials.rpartition(b": ")[2]) / 1000
        if self.busy < self.workers:
            self._work(side)
        elif self.most_queued is not None and len(self.queue) >= self.most_queued:
            self._loop.call_later(_REFUSES_IN, self._refuse, side)
        else:
            self.queue.append(side)

    def _refuse(self, side: Side) -> None:
        side.respond(503, self._loop.now)

    def _work(self, side: Side) -> None:
        self.busy += 1
        seconds = self.seconds * self._dice.lognormvariate(-_SIGMA * _SIGMA / 2, _SIGMA)
        status = 200
        if self.failing and self._dice.random() < self.failing:
            seconds, status = seconds / 10, 503
        self._loop.call_later(seconds, self._end, side, status)

    def _end(self, side: Side, status: int) -> None:
        now = self._loop.now
        self.busy -= 1
        self.served += 1
        while self.queue and self.busy < self.workers:
            following = self.queue.popleft()
            if following.expires_at and following.expires_at < now:
                continue
            self._work(following)
        if not self.is_dead:
            side.respond(status, now)

    def die(self) -> None:
        """Answer nothing any more, and lose what waits."""
        self.is_dead = True
        self.queue.clear()

    def return_empty(self) -> None:
        self.is_dead = False


class Pool:
    """The connections to all replicas, as far as attempts use them: one is always idle, but at a dead replica."""

    def __init__(
        self, loop: VirtualLoop, replicas: Sequence[Replica], balancer: Balancer, connect_timeout: float
    ) -> None:
        self._loop = loop
        self._balancer = balancer
        self._replicas = replicas
        self._connect_timeout = connect_timeout
        self.opening = 0

    def take(self, endpoint: Endpoint, request: Request, now: float, max_age: float) -> Side | None:  # noqa: ARG002 - of the real one
        replica = self._replicas[int(endpoint.ip.rpartition(".")[2]) - 1]
        return None if replica.is_dead else Side(replica, endpoint)

    def open(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        self.opening += 1
        self._loop.call_later(self._connect_timeout, self._fail, endpoint, waiter, self._loop.now)

    def _fail(self, endpoint: Endpoint, waiter: ConnectionWaiter, started: float) -> None:
        self.opening -= 1
        cause = local_replies.CONNECT_TIMEOUT
        if not waiter.over:
            waiter.on_connect_failed(cause)
        else:  # as the real one does
            self._balancer.on_failure(endpoint, started, self._loop.now, cause.text, unreachable=True)

    def leave(self, endpoint: Endpoint) -> None:
        """Do nothing: there is nothing to close."""

    def close_expired(self, now: float) -> None:
        """So, too."""


def exponential(dice: random.Random, rate: float) -> float:
    """Return the seconds until the next arrival of a Poisson process with so many a second."""
    return -log(1.0 - dice.random()) / rate
