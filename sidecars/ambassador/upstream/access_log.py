"""The access log: a line for each request, or connection, that has ended. Neither payload nor query nor field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.chassis.runtime import logs

if TYPE_CHECKING:
    from sidecars.ambassador.proxy.exchange import Exchange
    from sidecars.ambassador.proxy.tcp_connection import TcpConnection

log = logs.get("ambassador.access")

OFF, ERRORS, ALL = "off", "errors", "all"
_ERROR = 499  # the app left; from here on everything is one


class AccessLog:
    """What is told of one upstream. `all` of it, or only requests that ended with an error."""

    def __init__(self, upstream: str, mode: str) -> None:
        self._upstream = upstream
        self._all = mode == ALL

    def request(self, exchange: Exchange, status: int, now: float, *, whole: bool) -> None:
        """A request has ended. Not `whole`: its answer, or the app, broke off."""
        if status < _ERROR and whole and not self._all:
            return
        answered_at = exchange.answered_at or (now if exchange.label and whole else 0.0)
        request = exchange.request
        log.info(
            "request",
            upstream=self._upstream,
            method=request.method.decode(),
            path=request.target.partition(b"?")[0].decode(),
            status=status,
            whole=whole,
            endpoint=exchange.label,
            tries=len(exchange.causes) + bool(exchange.label),
            failed=[f"{endpoint}: {cause.text}" for endpoint, cause in exchange.causes],
            seconds=round(now - exchange.started, 6),
            before_try_seconds=round(exchange.tried_at - exchange.started, 6),
            until_answer_seconds=round(answered_at - exchange.started, 6) if answered_at else None,
        )

    def refused(self, status: int, reason: str) -> None:
        """A request was not understood, or not in time: nothing of it is told but why."""
        log.info("request refused", upstream=self._upstream, status=status, reason=reason)

    def connection(self, client: TcpConnection, now: float, *, error: str = "") -> None:
        """A connection of any other protocol has ended, or (with an `error`) was never made."""
        if not error and not self._all:
            return
        log.info(
            "connection",
            upstream=self._upstream,
            endpoint=client.label,
            tries=client.tries,
            failed=[f"{endpoint}: {cause.text}" for endpoint, cause in client.causes],
            error=error,
            seconds=round(now - client.started, 6),
            sent_bytes=client.passed,
            received_bytes=client.peer.passed if client.peer else 0,
        )
