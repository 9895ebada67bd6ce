"""A connection whose protocol the TLS handshake selects (ALPN, RFC 7301): then its real protocol takes it over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, cast

from sidecars.ambassador.transport.streams import Transport

HTTP2: Final = "h2"


class StreamProtocol(Protocol):
    """A protocol of the event loop, by its methods: a compiled class cannot inherit from asyncio's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, error: Exception | None, /) -> None: ...


H1 = TypeVar("H1", bound=StreamProtocol)
H2 = TypeVar("H2", bound=StreamProtocol)


class Undecided(Generic[H1, H2]):
    """The protocol of a connection during its handshake. It has no bytes of the peer when it is replaced."""

    def __init__(self, http1: Callable[[], H1], http2: Callable[[], H2]) -> None:
        self.chosen: H1 | H2 | None = None  # from `connection_made` on
        self._http1 = http1
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("Transport", transport)
        ssl_object = stream.get_extra_info("ssl_object")
        selected = ssl_object.selected_alpn_protocol() if ssl_object is not None else None
        chosen: H1 | H2 = self._http2() if selected == HTTP2 else self._http1()
        self.chosen = chosen
        stream.set_protocol(chosen)
        chosen.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Do nothing: the real protocol gets this call."""
