"""The endpoints of an upstream: the addresses behind its targets, kept when DNS fails. No I/O; time is passed in.

A target whose name cannot be looked up keeps the addresses of its last good answer: an outage of DNS is no outage of
the service. A good answer replaces them at once; endpoints that it does not hold any more are `removed` (their idle
connections are to be closed, and those at work when they have finished).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_HTTP_PORT = 80


class Endpoint:
    """One address, and what is known of it. `idle` holds its open connections that wait for a request, newest last."""

    __slots__ = (
        "connections",
        "down_until",
        "failed",
        "failures",
        "host",
        "idle",
        "ip",
        "label",
        "pending",
        "port",
        "removed",
        "requests",
        "target",
        "trial",
    )

    def __init__(self, target: str, host: bytes, ip: str, port: int) -> None:
        self.target = target
        self.host = host  # the authority to send as Host
        self.ip = ip
        self.port = port
        self.label = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.idle: list[Any] = []
        self.connections = 0  # open, idle or not
        self.pending = 0  # tries that have neither succeeded nor failed
        self.requests = 0  # tries begun, ever
        self.failed = 0  # tries failed, ever
        self.failures = 0  # failures since the last success
        self.down_until = 0.0
        self.trial = False  # the next request decides whether it is well again
        self.removed = False


@dataclass
class Name:
    """A target and what DNS last said of it."""

    target: str
    host: str
    port: int
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    answered_at: float | None = None  # when the last good answer came
    error: str = ""  # why there is no newer one

    @property
    def authority(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == _HTTP_PORT else f"{host}:{self.port}").encode()

    def answered(self, addresses: list[str], now: float) -> tuple[list[Endpoint], list[Endpoint]]:
        """Take a good answer; the endpoints that are new, and those that are gone. No addresses is no good answer."""
        if not addresses:
            self.failed("the name has no addresses")
            return [], []
        self.answered_at, self.error = now, ""
        gone = [endpoint for ip, endpoint in self.endpoints.items() if ip not in addresses]
        for endpoint in gone:
            endpoint.removed = True
            del self.endpoints[endpoint.ip]
        new = [Endpoint(self.target, self.authority, ip, self.port) for ip in addresses if ip not in self.endpoints]
        self.endpoints |= {endpoint.ip: endpoint for endpoint in new}
        return new, gone

    def failed(self, error: str) -> None:
        """Note that the look-up failed; what was known before still holds."""
        self.error = error
