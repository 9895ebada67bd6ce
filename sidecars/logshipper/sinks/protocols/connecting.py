"""Connecting to a receiver, and what is told when that fails."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

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
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return f"the host name {host} cannot be looked up"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with {where}: {error_text(error)}"
    return f"cannot connect to {where}: {error_text(error) or 'it was closed'}"


def error_text(error: BaseException | None) -> str:
    """What the system says of an error; "" where it says nothing."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) if error else ""
