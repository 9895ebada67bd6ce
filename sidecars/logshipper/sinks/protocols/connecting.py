"""Opens connections to a receiver, and turns their errors into sentences."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from sidecars.chassis.http.connecting import connect_error

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectionFailed(Exception):
    """There is no connection, or it broke. `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SessionFailed(Exception):
    """The receiver does not speak the protocol, refuses us, or ends the session. `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def connect(
    protocol: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.Transport, P]:
    """Connect to the receiver, with TLS if there is a context. Raises ConnectionFailed."""
    try:
        return await asyncio.get_running_loop().create_connection(protocol, host, port, ssl=context)
    except OSError as error:
        raise ConnectionFailed(connect_error(error, host, port)) from None
