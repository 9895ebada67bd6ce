"""Peers by their addresses: which connections come from the same one, and which come from this Pod. No I/O."""

from __future__ import annotations

import socket
from typing import Any

_MAPPED = "::ffff:"  # RFC 4291 section 2.5.5.2, as the kernel writes it
_PREFIX = 8  # bytes of an IPv6 address that one host may choose from: a /64
UNIX = "unix"


def peer_key(address: Any) -> str:
    """Return the key of the peer with this address, as accept(2) returns it. Equal keys are one peer.

    It is an IPv4 address, also if it is mapped to IPv6, or the /64 of an IPv6 address, in which one host has as many
    addresses as it likes. All peers of a unix socket are one.
    """
    host = host_of(address)
    if ":" not in host:
        return host or UNIX
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:_PREFIX].hex()


def host_of(address: Any) -> str:
    """Return the host of a peer's address, an IPv4 address unwrapped; "" for a unix socket."""
    if not isinstance(address, tuple):
        return ""
    host: str = address[0]
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def is_loopback(address: Any) -> bool:
    """Return True if the peer is in the same network namespace for sure: it came through loopback or a unix socket."""
    host = host_of(address)
    return not host or host == "::1" or host.startswith("127.")
