"""Connecting to a receiver, and what is told when that fails."""

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
    """Why there is no connection, or none any more: a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def connect(
    protocol: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.Transport, P]:
    """A connection of the protocol. Raises ConnectionFailed."""
    try:
        return await asyncio.get_running_loop().create_connection(protocol, host, port, ssl=context)
    except OSError as error:
        raise ConnectionFailed(connect_error(error, host, port)) from None


def connect_error(error: OSError, host: str, port: int) -> str:
    """Why there is no connection, as a sentence."""
    where = Address(host, port)
    if isinstance(error, socket.gaierror):
        return f"the host name {host} cannot be looked up"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {certificate_reason(error)}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with {where}: {reason_of(error)}"
    return f"cannot connect to {where}: {reason_of(error) or 'it was closed'}"
