"""An exchange that has ended, with its notes: the source of spans and log lines."""

from __future__ import annotations

from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.observed.observation import Observation
from sidecars.ambassador.proxy.observed.spans import CALL_STATUSES, SERVER_ERRORS


class Ended:
    """An exchange that has ended.

    - `status`: of HTTP; GONE if the app has left.
    - `call_status`: of gRPC; -1 if it is no call.
    - `now`: the time of the end, of the monotonic clock.
    - `whole`: False if its response, or the app, broke off.
    """

    __slots__ = ("call_status", "exchange", "now", "seen", "status", "whole")

    def __init__(
        self, exchange: Exchange, seen: Observation, status: int, call_status: int, now: float, *, whole: bool
    ) -> None:
        self.exchange = exchange
        self.seen = seen
        self.status = status
        self.call_status = call_status
        self.now = now
        self.whole = whole

    @property
    def seconds(self) -> float:
        return self.now - self.exchange.started

    @property
    def has_failed(self) -> bool:
        """True if the endpoints, or the ambassador, are to blame. An app that leaves is none of their failures."""
        if self.status == GONE:
            return False
        return self.status >= 500 or not self.whole or self.call_status in SERVER_ERRORS

    @property
    def error_type(self) -> str:
        """The `error.type` of OpenTelemetry; "" if it is no error."""
        if self.seen.error:
            return self.seen.error
        if self.status == GONE:
            return "client_closed_request"
        if self.call_status > 0:
            return CALL_STATUSES[self.call_status].decode()
        return str(self.status) if self.status >= 500 else ""
