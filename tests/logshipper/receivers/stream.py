"""The base of receivers that are no HTTP servers: connections on loopback, with or without TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from tests.support import free_port


class Stream:
    """Listens from the start. Each connection gets a thread, which calls `converse`.

    `window`: bytes of the kernel's buffer for data that is not read yet; 0 is the kernel's choice.
    """

    def __init__(self, context: ssl.SSLContext | None, port: int = 0, window: int = 0) -> None:
        self.mode = "ok"
        self.connections = 0
        self._context = context
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port or free_port()))
        if window:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def converse(self, connection: socket.socket) -> None:
        """Serve the connection. It ends when this returns, or raises EOFError or OSError."""
        raise NotImplementedError

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._begin, args=(connection,), daemon=True).start()

    def _begin(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self.connections += 1
            self.converse(connection)

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
