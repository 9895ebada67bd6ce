"""Connections to a host by its name or address, also if the process has no free file descriptor."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http.error_reasons import certificate_reason, reason_of
from sidecars.chassis.runtime import descriptors

if TYPE_CHECKING:
    from ssl import SSLContext

P = TypeVar("P", bound=asyncio.Protocol)


async def connect(protocol: Callable[[], P], host: str, port: int, context: SSLContext | None) -> P:
    """Connect to the first address of the host that accepts. Raises OSError, that of the last address.

    If the process has no free file descriptor, the look-up and the socket use the reserve (`descriptors`).
    """
    loop = asyncio.get_running_loop()
    name = host if context else None
    error: OSError = OSError("it has no address")
    for family, _, _, _, where in await _addresses(host, port):
        try:
            try:
                made = await loop.create_connection(protocol, str(where[0]), port, ssl=context, server_hostname=name)
            except OSError as failed:
                if descriptors.count_exhaustion(failed) != descriptors.DESCRIPTORS:
                    raise
                own = await _reserved_socket(family, where)
                made = await loop.create_connection(protocol, sock=own, ssl=context, server_hostname=name)
        except OSError as failed:
            error = failed
            continue
        return made[1]
    raise error


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


async def _addresses(host: str, port: int) -> list[Any]:
    """Return the addresses of the host from getaddrinfo(3). Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        if descriptors.is_any_free():
            raise

    def look_up() -> list[Any]:
        with descriptors.reserved():
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    return await loop.run_in_executor(None, look_up)


async def _reserved_socket(family: int, where: Any) -> socket.socket:
    """Return a connected socket that uses a descriptor of the reserve. Raises OSError."""
    with descriptors.reserved():
        own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, where)
    except BaseException:
        own.close()
        raise
    return own
