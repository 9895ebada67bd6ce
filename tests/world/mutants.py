"""Deliberate faults in the code of the sidecars, by name. The world must find each of them within some seeds.

A world that cannot fail proves nothing. Each fault is one that a change could really make.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.app_client.outcome import NoResponse
from sidecars.adapter.verdict.judge import Judge
from sidecars.ambassador.http.local_replies import CONNECTION_CLOSED
from sidecars.ambassador.proxy import retry
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.response_writer import ResponseWriter
from sidecars.ambassador.upstream.health_checks import _Probe
from sidecars.chassis.accept.budget import Budget
from sidecars.chassis.http.server import Server
from sidecars.chassis.http.server_connection import ServerConnection
from tests.world import log_mutants, names
from tests.world.replacing import replace

Mutant = Callable[[], None]


def repeat_what_was_seen() -> None:
    """Retry a request that is not idempotent although an origin may have seen it."""
    honest = retry.verdict

    def verdict(failed: retry.FailedAttempt, *more: Any) -> str:
        return honest(dataclasses.replace(failed, idempotent=True), *more)

    replace(retry, "verdict", verdict)


def reuse_before_the_request_is_sent() -> None:
    """Give a connection to the next request although a part of the last one has yet to come."""

    def release(self: Exchange) -> bool:
        self.release_attempt()
        return True

    replace(Exchange, "release", release)


def end_in_order_when_broken() -> None:
    """Close the app's connection in order although the response broke off."""

    def break_off(self: ResponseWriter, *, by_reset: bool) -> None:
        self.leave()
        self.lingers = True
        self.transport.close()

    replace(ResponseWriter, "break_off", break_off)


def forget_that_the_app_has_left() -> None:
    """Do not abandon the exchange of an app that has left."""

    def connection_lost(self: ClientConnection, _error: Exception | None) -> None:
        self.upstream.clients.remove(self)
        self.exchange = None

    replace(ClientConnection, "connection_lost", connection_lost)


def never_close_after_the_drain_began() -> None:
    """Keep the app's connections open while draining."""

    def closes_after(self: ClientConnection, request: Any, *, complete: bool) -> bool:
        return not request.keep_alive or not complete or (self.ended and not self._buffer)

    replace(ClientConnection, "closes_after", closes_after)


def raise_in_a_health_check() -> None:
    """Retrieve the outcome of a check that has timed out: a fault that this world has found."""

    def connection_lost(self: _Probe, _error: Exception | None) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(ConnectionError(CONNECTION_CLOSED.text))
        self.outcome.exception()

    replace(_Probe, "connection_lost", connection_lost)


def wait_for_silent_clients_for_ever() -> None:
    """Set no deadline for a connection."""
    replace(ServerConnection, "_set_deadline", lambda _self, _seconds: None)


def refuse_the_newcomer() -> None:
    """Refuse a newcomer while connections are idle: the server did that once."""
    replace(Budget, "shed_one", lambda _self: False)


def leave_connections_open_at_the_end() -> None:
    """Reset nothing when the time for the drain is over."""

    async def drain(self: Server, _grace: float) -> None:
        self.draining = True
        for connection in list(self._connections):
            connection.close_if_idle()

    replace(Server, "drain", drain)


def use_a_response_for_ever() -> None:
    """Keep the outcome of an app's request in the cache for ever, once it is there."""
    send = AppClient._send

    async def keep(self: AppClient, app_request: Any) -> Any:
        outcome = await send(self, app_request)
        self._cached.update({known: (kept, float("inf")) for known, (kept, _) in self._cached.items()})
        return outcome

    replace(AppClient, "_send", keep)


def pass_without_a_response() -> None:
    """Repeat the last verdict while the app does not respond."""
    honest = Judge.judge

    def judge(self: Judge, outcome: Any) -> Any:
        if isinstance(outcome, NoResponse) and hasattr(self, "last"):
            return self.last
        self.last = honest(self, outcome)  # type: ignore[attr-defined] # the fault's own
        return self.last  # type: ignore[attr-defined] # the fault's own

    replace(Judge, "judge", judge)


MUTANTS: dict[str, Mutant] = {
    fault: getattr(log_mutants, fault) if world == "logshipper" else globals()[fault]
    for fault, world in names.FAULTS.items()
}
