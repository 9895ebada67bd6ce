"""A proxy in front of a Kafka broker that loses answers and requests, as a network does.

    logshipper ─► KafkaProxy ─► broker

It reads the frames in both directions. The addresses in the answers to Metadata and FindCoordinator become its own, so
that every connection leads through it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections import Counter, deque

from tests.support import free_port

METADATA, FIND_COORDINATOR, PRODUCE, END_TXN, TXN_OFFSET_COMMIT, INIT_PRODUCER_ID = 3, 10, 0, 26, 28, 22
_HOST = b"\x00\x09127.0.0.1"


class KafkaProxy:
    """Listens from the start. `lost_answers`, `lost_requests`: the chance of a loss by the key of the request."""

    def __init__(self, upstream: int, chance: random.Random) -> None:
        self.lost_answers: dict[int, float] = {}
        self.lost_requests: dict[int, float] = {}
        self.lost: Counter[str] = Counter()
        self.seen: Counter[int] = Counter()  # requests by their keys
        self._chance = chance
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                broker = socket.create_connection(("127.0.0.1", self._upstream))
                broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting: deque[int] = deque()
                threading.Thread(target=self._requests, args=(client, broker, waiting), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, broker, waiting), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket, waiting: deque[int]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame = _frame(client)
                key = struct.unpack(">h", frame[:2])[0]
                self.seen[key] += 1
                if self._chance.random() < self.lost_requests.get(key, 0):
                    self.lost[f"request {key}"] += 1
                    break
                waiting.append(key)
                broker.sendall(struct.pack(">i", len(frame)) + frame)
        _hang_up(client, broker)

    def _answers(self, client: socket.socket, broker: socket.socket, waiting: deque[int]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame = _frame(broker)
                key = waiting.popleft()
                if self._chance.random() < self.lost_answers.get(key, 0):
                    self.lost[f"answer {key}"] += 1
                    break
                if key in (METADATA, FIND_COORDINATOR):
                    theirs, ours = (_HOST + struct.pack(">i", port) for port in (self._upstream, self.port))
                    frame = frame.replace(theirs, ours)
                client.sendall(struct.pack(">i", len(frame)) + frame)
        _hang_up(client, broker)


def _frame(connection: socket.socket) -> bytes:
    """Return the next frame without its length. Raises EOFError at the end."""
    return exactly(connection, struct.unpack(">i", exactly(connection, 4))[0])


def exactly(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes. Raises EOFError at the end."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _hang_up(*connections: socket.socket) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
