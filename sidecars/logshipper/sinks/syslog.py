"""The sinks `syslog+tcp://` and `syslog+tls://`: RFC 5424 messages with octet counting.

Accepted: the receiver's kernel has acknowledged every byte of the batch (our send queue is empty: TIOCOUTQ), and the
connection was still open afterwards. Syslog has no acknowledgement of its own, and TCP's is weaker: if the receiver is
killed, the bytes in its kernel's buffer are lost. Use another sink if that matters.

Repeats: if the connection breaks in the middle of a batch, the whole batch is sent again. Receivers drop the torn
message at the end of the connection, and get the others twice, with the same `id` in the structured data.

The calls block, on a thread. So no buffer of an event loop or of TLS lies between us and the kernel's queue.
"""

from __future__ import annotations

import array
import fcntl
import socket
import ssl
import termios
import time
from typing import Any

from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.syslog_frames import encode_frames
from sidecars.logshipper.sinks.protocols.connecting import connect_error
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_PORTS = {"syslog+tcp": 514, "syslog+tls": 6514}
_MAX_READS = 16  # of unexpected bytes, between two looks at the send queue
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05  # seconds between looks at the send queue


def create(_settings: Settings, sink: SinkSettings) -> SyslogSink:
    return SyslogSink(sink)


class SyslogSink:
    """A syslog receiver over TCP. Its one connection is used on one thread. See `base.Sink`."""

    max_in_flight = 1  # one stream

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._host = settings.url.hostname
        self._port = settings.url.port or _PORTS[settings.url.scheme]
        self._tls: ReloadingContext | None = None
        self._context: object = None  # the TLS context of the connection
        self._connection: socket.socket | None = None
        self._thread = BlockingThread("syslog")

    async def open(self, _receipt: Any) -> None:
        if self._settings.url.scheme == "syslog+tls":
            self._tls = tls_context(self._settings)

    async def deliver(self, batch: Batch) -> Outcome:
        await self._thread.call(self._send, await batch.encoded(lambda batch: encode_frames(batch, time.time_ns())))
        return Outcome()

    def _send(self, blocks: list[bytes]) -> None:
        deadline = time.monotonic() + self._settings.request_timeout
        connection = self._open_connection()
        try:
            for block in blocks:
                _send_all(connection, block, deadline)
            _wait_for_the_kernel(connection, deadline)
        except TimeoutError:
            self._disconnect()
            raise RetryLater(f"not acknowledged within {self._settings.request_timeout:g} s") from None
        except OSError as error:
            self._disconnect()
            raise RetryLater(f"the connection broke in the middle of a batch: {reason_of(error)}") from None

    def _open_connection(self) -> socket.socket:
        context = self._tls.context() if self._tls else None
        if self._connection is not None and (self._context is not context or not _is_open(self._connection)):
            self._disconnect()
        if self._connection is None:
            try:
                connection = socket.create_connection((self._host, self._port), self._settings.request_timeout)
                if context is not None:
                    connection = context.wrap_socket(connection, server_hostname=self._host)
            except TimeoutError:
                raise RetryLater(f"no connection within {self._settings.request_timeout:g} s") from None
            except OSError as error:
                raise RetryLater(connect_error(error, self._host, self._port)) from None
            self._connection, self._context = connection, context
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        await self._thread.call(self._disconnect)


def _time_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send_all(connection: socket.socket, block: bytes, deadline: float) -> None:
    """Send the block by the deadline, in steps. (Over TLS, `sendall` would begin a new time-out with each step.)"""
    left = memoryview(block)
    while left:
        connection.settimeout(_time_left(deadline))
        left = left[connection.send(left) :]


def _wait_for_the_kernel(connection: socket.socket, deadline: float) -> None:
    """Wait until the receiver's kernel has acknowledged all bytes. Raises ConnectionError if it closes before."""
    queued = array.array("i", [0])
    pause = _FIRST_PAUSE
    while True:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
        if not _is_open(connection):  # checked after the queue: acceptance needs an open connection
            raise ConnectionError("the receiver closed it")
        if not queued[0]:
            return
        time.sleep(min(pause, _time_left(deadline)))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _is_open(connection: socket.socket) -> bool:
    """True if the receiver has neither closed nor reset the connection.

    A syslog receiver sends nothing. Bytes that it sends nevertheless are dropped, in `_MAX_READS` reads at most: a
    receiver that never stops sending would hold the thread here without end.
    """
    connection.settimeout(0)
    try:
        for _ in range(_MAX_READS):
            if not connection.recv(4096):
                return False
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return True
