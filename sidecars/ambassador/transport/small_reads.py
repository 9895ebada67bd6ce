"""Small reads: a transport gives its protocol a few bytes at a time, however many the kernel has.

The event loop reads up to 250 KiB at once from a plain connection. While memory is short (`upstream/buffer_memory`),
a connection reads into one small buffer instead, which all of them share because no read outlives its call.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sidecars.ambassador.transport.streams import Transport

SIZE = 4000  # bytes; with the frame of a chunk less than 4 KiB

_BUFFER = memoryview(bytearray(SIZE))


class Reader(Protocol):
    """The protocol of a transport, as far as `SmallReads` uses it."""

    def data_received(self, data: bytes, /) -> None: ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, error: Exception | None, /) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class SmallReads(asyncio.BufferedProtocol):
    """Stands between a transport and its protocol. The transport owns it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get_buffer(self, _hint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        self._reader.data_received(bytes(_BUFFER[:count]))

    def eof_received(self) -> bool | None:
        return self._reader.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._reader.connection_lost(error)

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()


def read_small(transport: Transport, reader: Reader, *, is_paused: bool) -> None:
    """Give the reader at most `SIZE` bytes at a time from now on. `is_paused` is True if it is not read at present."""
    _change(transport, SmallReads(reader), is_paused=is_paused)


def read_large(transport: Transport, reader: Reader, *, is_paused: bool) -> None:
    """Give the reader as much as the event loop reads at once from now on."""
    _change(transport, reader, is_paused=is_paused)


def _change(transport: Transport, protocol: object, *, is_paused: bool) -> None:
    if transport.is_closing():
        return
    transport.pause_reading()  # how it is read changes with the protocol
    transport.set_protocol(protocol)
    if not is_paused:
        transport.resume_reading()
