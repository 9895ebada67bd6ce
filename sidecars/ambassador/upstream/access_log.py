"""The access log: one line for each request, or connection, that has ended; no payload, no query, no header field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request
from sidecars.chassis.runtime import logs

log = logs.get("ambassador.access")

OFF, ERRORS, ALL = "off", "errors", "all"
_ERROR = 499  # the app left; all statuses from here on are errors

Failures = Sequence[tuple[str, Cause]]  # the attempts that failed: the endpoint, and the cause


class LoggedExchange(Protocol):
    """An exchange, as far as the log uses it."""

    @property
    def request(self) -> Request: ...

    @property
    def label(self) -> str:
        """The endpoint of the last attempt; "" if it used no connection."""

    @property
    def failures(self) -> Failures: ...

    @property
    def started(self) -> float:
        """The time when the request's head had come."""

    @property
    def attempt_started(self) -> float:
        """The time when the last attempt began."""

    @property
    def hedged(self) -> str:
        """The outcome of its hedge; "" if it had none."""

    @property
    def response_at(self) -> float:
        """The time when the head of a streamed response came; 0 if there was none."""


class LoggedConnection(Protocol):
    """A connection of another protocol than HTTP, as far as the log uses it."""

    @property
    def label(self) -> str:
        """The endpoint at the other end; "" if there is none."""

    @property
    def attempts(self) -> int: ...

    @property
    def failures(self) -> Failures: ...

    @property
    def started(self) -> float: ...

    @property
    def sent(self) -> int:
        """Bytes from the app to the endpoint."""

    @property
    def received(self) -> int:
        """Bytes from the endpoint to the app."""


class AccessLog:
    """The access log of one upstream: of `all` requests, or only of those that ended with an error."""

    def __init__(self, upstream: str, mode: str, *, by_fields: bool = False) -> None:
        """`by_fields`: ACCESS_LOG_FIELDS chooses the fields of requests (`proxy.observed.access_fields` logs them)."""
        self._upstream = upstream
        self._all = mode == ALL
        self._by_fields = by_fields

    def request(self, exchange: LoggedExchange, status: int, now: float, *, whole: bool) -> None:
        """Log a request that has ended. `whole` is False if its response, or the app, broke off."""
        if self._by_fields or not (self._all or is_error(status, whole=whole)):
            return
        log.info("request", **known_values(self._upstream, exchange, status, now, whole=whole))

    def rejected(self, status: int, reason: str) -> None:
        """Log a request that was rejected before its head was understood: only the reason, nothing of the request."""
        log.info("request refused", upstream=self._upstream, status=status, reason=reason)

    def connection(self, connection: LoggedConnection, now: float, *, error: str = "") -> None:
        """Log a connection that has ended; with an error type (RFC 9209) if it had no connection to an endpoint."""
        if not error and not self._all:
            return
        log.info(
            "connection",
            upstream=self._upstream,
            endpoint=connection.label,
            tries=connection.attempts,
            failed=_shown(connection.failures),
            error=error,
            seconds=round(now - connection.started, 6),
            sent_bytes=connection.sent,
            received_bytes=connection.received,
        )


def is_error(status: int, *, whole: bool) -> bool:
    """Return True if a request that ended so is an error. `whole` is False if its response, or the app, broke off."""
    return status >= _ERROR or not whole


def known_values(upstream: str, exchange: LoggedExchange, status: int, now: float, *, whole: bool) -> dict[str, object]:
    """Return the fields that the line of a request has, unless others are chosen."""
    request, label = exchange.request, exchange.label
    response_at = exchange.response_at or (now if label and whole else 0.0)
    return {
        "upstream": upstream,
        "method": request.method.decode(),
        "path": (request.asked or request.target).partition(b"?")[0].decode(),
        "protocol": request.protocol,
        "status": status,
        "whole": whole,
        "endpoint": label,
        "tries": len(exchange.failures) + bool(label),
        "failed": _shown(exchange.failures),
        "seconds": round(now - exchange.started, 6),
        "before_try_seconds": round(exchange.attempt_started - exchange.started, 6),
        "until_answer_seconds": round(response_at - exchange.started, 6) if response_at else None,
        **({"hedge": exchange.hedged} if exchange.hedged else {}),
    }


def _shown(failures: Failures) -> list[str]:
    return [f"{endpoint}: {cause.text}" for endpoint, cause in failures]
