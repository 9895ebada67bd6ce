"""Exchanges that are observed: each kind of them, with notes at their events.

An upstream that nobody observes has none of them, so its requests pay one test of an attribute, where an exchange is
made. Each override notes, and then lets the exchange do what it does. mypyc has no mixins, so the overrides stand in
each class.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange, monotonic
from sidecars.ambassador.proxy.grpc.call import GrpcCall
from sidecars.ambassador.proxy.observed import notes
from sidecars.ambassador.proxy.observed.ended import Ended
from sidecars.ambassador.proxy.observed.observation import Observation
from sidecars.ambassador.proxy.observed.observer import Observer
from sidecars.ambassador.proxy.routed.rewriting import RewritingExchange
from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide


class ObservedExchange(Exchange):
    """An exchange that is observed."""

    def __init__(self, client: AppSide, upstream: Upstream, request: Request, observer: Observer) -> None:
        super().__init__(client, upstream, request)
        self.observer = observer
        self.seen: Observation = observer.begin(request)

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        started = self.attempt_started if receiver is self else monotonic()
        self.attempt_lines = notes.begin(self.observer, self.seen, connection, started)
        super().send(connection, receiver)

    def fail_attempt(self, cause: Cause) -> None:
        notes.fail(self, self.observer, self.seen, cause)
        super().fail_attempt(cause)

    def expire_attempt(self, now: float, *, is_request_sent: bool) -> Cause:
        if self.endpoint is not None:
            notes.fail(self, self.observer, self.seen, local_replies.RESPONSE_TIMEOUT)
        return super().expire_attempt(now, is_request_sent=is_request_sent)

    def accept(self, response: Response, now: float) -> bool:
        failed = len(self.failures)
        current = self.seen.of(self.endpoint)  # another one may begin before `accept` returns
        self.seen.served_by = current
        accepted = super().accept(response, now)
        if not accepted and current is not None and len(self.failures) > failed:
            notes.refuse(current, self.failures[failed][1], response, now)
        return accepted

    def feed(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        super().feed(pieces, trailers, done=done)
        if self.body is not None:
            self.seen.request_bytes += self.body.added

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        self.seen.response = response
        self.seen.response_bytes = len(body)
        super().respond_whole(response, body, trailers, now)

    def respond(self, response: Response) -> None:
        self.seen.response = response
        super().respond(response)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.seen.response_bytes += sum(map(len, pieces))
        super().pass_on(pieces)

    def give_up(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().give_up(cause)

    def cut(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().cut(cause)

    def _count(self, status: int, now: float, *, whole: bool = True) -> None:
        super()._count(status, now, whole=whole)
        try:
            self.observer.end(Ended(self, self.seen, status, -1, now, whole=whole))
        except Exception as error:  # noqa: BLE001 - what is seen of a request is no reason to hold back its response
            self.upstream.defects.note(error)


class ObservedCall(GrpcCall):
    """A call of gRPC that is observed."""

    def __init__(self, client: AppSide, upstream: Upstream, request: Request, observer: Observer) -> None:
        super().__init__(client, upstream, request)
        self.observer = observer
        self.seen: Observation = observer.begin(request)

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        started = self.attempt_started if receiver is self else monotonic()
        self.attempt_lines = notes.begin(self.observer, self.seen, connection, started)
        super().send(connection, receiver)

    def fail_attempt(self, cause: Cause) -> None:
        notes.fail(self, self.observer, self.seen, cause)
        super().fail_attempt(cause)

    def expire_attempt(self, now: float, *, is_request_sent: bool) -> Cause:
        if self.endpoint is not None:
            notes.fail(self, self.observer, self.seen, local_replies.RESPONSE_TIMEOUT)
        return super().expire_attempt(now, is_request_sent=is_request_sent)

    def accept(self, response: Response, now: float) -> bool:
        failed = len(self.failures)
        current = self.seen.of(self.endpoint)  # another one may begin before `accept` returns
        self.seen.served_by = current
        accepted = super().accept(response, now)
        if not accepted and current is not None and len(self.failures) > failed:
            notes.refuse(current, self.failures[failed][1], response, now)
        return accepted

    def feed(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        super().feed(pieces, trailers, done=done)
        if self.body is not None:
            self.seen.request_bytes += self.body.added

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        self.seen.response = response
        self.seen.response_bytes = len(body)
        super().respond_whole(response, body, trailers, now)

    def respond(self, response: Response) -> None:
        self.seen.response = response
        super().respond(response)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.seen.response_bytes += sum(map(len, pieces))
        super().pass_on(pieces)

    def give_up(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().give_up(cause)

    def cut(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().cut(cause)

    def _count(self, status: int, now: float, *, whole: bool = True) -> None:
        super()._count(status, now, whole=whole)
        try:
            self.observer.end(Ended(self, self.seen, status, self.outcome, now, whole=whole))
        except Exception as error:  # noqa: BLE001 - what is seen of a request is no reason to hold back its response
            self.upstream.defects.note(error)


class ObservedRewriting(RewritingExchange):
    """An exchange that is observed, and whose response gets other addresses."""

    def __init__(
        self, client: AppSide, upstream: Upstream, request: Request, observer: Observer, addresses: AddressMap
    ) -> None:
        super().__init__(client, upstream, request, addresses)
        self.observer = observer
        self.seen: Observation = observer.begin(request)

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        started = self.attempt_started if receiver is self else monotonic()
        self.attempt_lines = notes.begin(self.observer, self.seen, connection, started)
        super().send(connection, receiver)

    def fail_attempt(self, cause: Cause) -> None:
        notes.fail(self, self.observer, self.seen, cause)
        super().fail_attempt(cause)

    def expire_attempt(self, now: float, *, is_request_sent: bool) -> Cause:
        if self.endpoint is not None:
            notes.fail(self, self.observer, self.seen, local_replies.RESPONSE_TIMEOUT)
        return super().expire_attempt(now, is_request_sent=is_request_sent)

    def accept(self, response: Response, now: float) -> bool:
        failed = len(self.failures)
        current = self.seen.of(self.endpoint)  # another one may begin before `accept` returns
        self.seen.served_by = current
        accepted = super().accept(response, now)
        if not accepted and current is not None and len(self.failures) > failed:
            notes.refuse(current, self.failures[failed][1], response, now)
        return accepted

    def feed(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        super().feed(pieces, trailers, done=done)
        if self.body is not None:
            self.seen.request_bytes += self.body.added

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        self.seen.response = response
        self.seen.response_bytes = len(body)
        super().respond_whole(response, body, trailers, now)

    def respond(self, response: Response) -> None:
        self.seen.response = response
        super().respond(response)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.seen.response_bytes += sum(map(len, pieces))
        super().pass_on(pieces)

    def give_up(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().give_up(cause)

    def cut(self, cause: Cause) -> None:
        self.seen.error = cause.error_type
        super().cut(cause)

    def _count(self, status: int, now: float, *, whole: bool = True) -> None:
        super()._count(status, now, whole=whole)
        try:
            self.observer.end(Ended(self, self.seen, status, -1, now, whole=whole))
        except Exception as error:  # noqa: BLE001 - what is seen of a request is no reason to hold back its response
            self.upstream.defects.note(error)
