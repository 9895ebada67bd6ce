"""Opens connections to a receiver, and turns their errors into sentences."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http.error_reasons import certificate_reason, reason_of

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectionFailed(Exception):
    """There is no connection, or it broke. `reason` is a sentence."""

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


def connect_error(error: OSError, host: str, port: int) -> str:
    """Return a sentence for an error of connect(2), of the host's look-up or of the TLS handshake."""
    where = Address(host, port)
    if isinstance(error, socket.gaierror):
        return f"the host name {host} cannot be looked up"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {certificate_reason(error)}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with {where}: {reason_of(error)}"
    return f"cannot connect to {where}: {reason_of(error) or 'it was closed'}"
