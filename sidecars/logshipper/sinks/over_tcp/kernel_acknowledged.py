"""A stream to a receiver that never responds: what its kernel has acknowledged counts as accepted.

This is weak: if the receiver is killed, the bytes in its kernel's buffer are lost. Our send queue is empty (TIOCOUTQ),
and the connection was still open afterwards: there is no more to know.

The calls block, on a thread. So no buffer of an event loop or of TLS lies between us and the kernel's queue.
"""

from __future__ import annotations

import array
import fcntl
import socket
import ssl
import termios
import time

from sidecars.chassis.http.connecting import connect_error
from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.logshipper.sinks.base import RetryLater

_MAX_READS = 16  # of unexpected bytes, between two looks at the send queue
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05  # seconds between looks at the send queue


class KernelAcknowledgedStream:
    """One connection to a receiver, on one thread. Owned by a sink.

    `timeout`: seconds for a connection, and for the bytes of one `send`.
    """

    def __init__(self, name: str, host: str, port: int, timeout: float) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._tls: ReloadingContext | None = None
        self._context: object = None  # the TLS context of the connection
        self._connection: socket.socket | None = None
        self._thread = BlockingThread(name)

    def use_tls(self, tls: ReloadingContext) -> None:
        """Make every further connection with TLS."""
        self._tls = tls

    async def send(self, blocks: list[bytes]) -> None:
        """Return when the receiver's kernel has acknowledged every byte of the blocks. Raises RetryLater."""
        await self._thread.call(self._send, blocks)

    def _send(self, blocks: list[bytes]) -> None:
        deadline = time.monotonic() + self._timeout
        connection = self._open_connection()
        try:
            for block in blocks:
                _send_all(connection, block, deadline)
            _wait_for_the_kernel(connection, deadline)
        except TimeoutError:
            self._disconnect()
            raise RetryLater(f"not acknowledged within {self._timeout:g} s") from None
        except OSError as error:
            self._disconnect()
            raise RetryLater(f"the connection broke in the middle of a batch: {reason_of(error)}") from None

    def _open_connection(self) -> socket.socket:
        context = self._tls.context() if self._tls else None
        if self._connection is not None and (self._context is not context or not _is_open(self._connection)):
            self._disconnect()
        if self._connection is None:
            try:
                connection = socket.create_connection((self._host, self._port), self._timeout)
                if context is not None:
                    connection = context.wrap_socket(connection, server_hostname=self._host)
            except TimeoutError:
                raise RetryLater(f"no connection within {self._timeout:g} s") from None
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

    Such a receiver sends nothing. Bytes that it sends nevertheless are dropped, in `_MAX_READS` reads at most: a
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
