"""The sinks `syslog+tcp://` and `syslog+tls://`: RFC 5424 messages with octet counting.

Syslog has no acknowledgement: a receiver never says that it has a message. What comes nearest is TCP's own. Yes means
that the receiver's kernel has acknowledged every byte of the batch (nothing is left in our send queue: TIOCOUTQ), and
that the connection was still open afterwards. What a receiver that is killed had in its kernel's buffer, and had not
read yet, is lost: use another sink where that matters.

A connection that breaks in the middle of a batch leaves a batch that is sent again as a whole: receivers drop the torn
message at its end, and see the others twice. They can tell by the `id` in the structured data.

The calls are blocking ones, on a thread: that way no buffer of an event loop or of TLS stands between us and the
kernel's queue.
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
_HEARD = 16  # reads
_FIRST_LOOK, _LAST_LOOK = 0.0005, 0.05  # seconds between looks at the send queue


def create(_settings: Settings, sink: SinkSettings) -> SyslogSink:
    return SyslogSink(sink)


class SyslogSink:
    max_in_flight = 1  # one stream

    def __init__(self, sink: SinkSettings) -> None:
        self._sink = sink
        self._host = sink.url.hostname or ""
        self._port = sink.url.port or _PORTS[sink.url.scheme]
        self._tls: ReloadingContext | None = None
        self._context: object = None  # what the connection was made with
        self._connection: socket.socket | None = None
        self._thread = BlockingThread("syslog")

    async def open(self, _receipt: Any) -> None:
        if self._sink.url.scheme == "syslog+tls":
            self._tls = tls_context(self._sink)

    async def deliver(self, batch: Batch) -> Outcome:
        await self._thread.call(self._send, batch.encoded(lambda batch: encode_frames(batch, time.time_ns())))
        return Outcome()

    def _send(self, blocks: list[bytes]) -> None:
        deadline = time.monotonic() + self._sink.request_timeout
        connection = self._connected()
        try:
            for block in blocks:
                _send_all(connection, block, deadline)
            _wait_for_the_kernel(connection, deadline)
        except TimeoutError:
            self._let_go()
            raise RetryLater(f"not acknowledged within {self._sink.request_timeout:g} s") from None
        except OSError as error:
            self._let_go()
            raise RetryLater(f"the connection broke in the middle of a batch: {reason_of(error)}") from None

    def _connected(self) -> socket.socket:
        context = self._tls.context() if self._tls else None
        if self._connection is not None and (self._context is not context or not _is_open(self._connection)):
            self._let_go()
        if self._connection is None:
            try:
                connection = socket.create_connection((self._host, self._port), self._sink.request_timeout)
                if context is not None:
                    connection = context.wrap_socket(connection, server_hostname=self._host)
            except TimeoutError:
                raise RetryLater(f"no connection within {self._sink.request_timeout:g} s") from None
            except OSError as error:
                raise RetryLater(connect_error(error, self._host, self._port)) from None
            self._connection, self._context = connection, context
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        await self._thread.call(self._let_go)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send_all(connection: socket.socket, block: bytes, deadline: float) -> None:
    """Send the block, in as many steps as it takes. `sendall` over TLS grants each step the whole time-out."""
    left = memoryview(block)
    while left:
        connection.settimeout(_left(deadline))
        left = left[connection.send(left) :]


def _wait_for_the_kernel(connection: socket.socket, deadline: float) -> None:
    """Until the other side's kernel has acknowledged all that was written, and no later than it hangs up."""
    queued = array.array("i", [0])
    pause = _FIRST_LOOK
    while True:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
        if not _is_open(connection):  # after the look at the queue: a yes is one of a connection that lives
            raise ConnectionError("the receiver closed it")
        if not queued[0]:
            return
        time.sleep(min(pause, _left(deadline)))
        pause = min(2 * pause, _LAST_LOOK)


def _is_open(connection: socket.socket) -> bool:
    """True if the receiver has neither closed nor reset the connection.

    A syslog receiver says nothing. What it says all the same is dropped, but no more of it at one look than `_HEARD`
    reads: one that never stops talking would hold us here for ever.
    """
    connection.settimeout(0)
    try:
        for _ in range(_HEARD):
            if not connection.recv(4096):
                return False
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return True
