"""Small backends that misbehave as a test wants, a client that sees the bytes, and the program under test."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from tests.support import PATIENCE, Program, free_port, get, wait_until

Handler = Callable[["Peer"], None]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Peer:
    """A connection that a test reads by marks, heads and counts."""

    def __init__(self, own: socket.socket) -> None:
        self.socket = own
        self.socket.settimeout(PATIENCE)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        data = self.socket.recv(256 * 1024)
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Return the bytes up to and including the mark; fewer if the peer ends before it."""
        while mark not in self.buffer:
            if not self._more():
                out, self.buffer = self.buffer, b""
                return out
        head, mark, self.buffer = self.buffer.partition(mark)
        return head + mark

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count and self._more():
            pass
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def head(self) -> bytes:
        return self.until(b"\r\n\r\n")

    def response(self) -> tuple[int, bytes, bytes]:
        """Read a response with a length or chunks; return its status, head and body."""
        head = self.head()
        assert head.startswith(b"HTTP/1.1 "), head
        status = int(head[9:12])
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        if length:
            return status, head, self.exactly(int(length[1]))
        body = b""
        if b"Transfer-Encoding: chunked" in head:
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            self.until(b"\r\n")
        return status, head, body

    def rest(self) -> bytes:
        """Return everything up to the end. Raises ConnectionResetError if the end is not clean."""
        while self._more():
            pass
        out, self.buffer = self.buffer, b""
        return out

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Backend:
    """A server that runs the handler in a thread for each connection. `connections` counts them."""

    def __init__(
        self, handler: Handler, port: int = 0, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.handler = handler
        self.tls = tls
        self.connections = 0
        self.heads: list[bytes] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port or free_port()))  # no one's but ours, also while nobody listens
        self._listener.listen(512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                own, _ = self._listener.accept()
                self.connections += 1
                self._open.add(own)
                threading.Thread(target=self._serve, args=(own,), daemon=True).start()

    def _serve(self, own: socket.socket) -> None:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), own:
            if self.tls:
                with self.tls.wrap_socket(own, server_side=True) as encrypted:
                    self.handler(Peer(encrypted))
            else:
                self.handler(Peer(own))
        self._open.discard(own)

    def stop(self) -> None:
        """End like a killed process: nothing listens any more, and open connections are reset."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for own in list(self._open):
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)


def answering(body: bytes = b"ok", *, requests: int | None = None, seen: list[bytes] | None = None) -> Handler:
    """Return a handler that reads requests without bodies and responds to each. It closes after `requests` of them."""

    def handle(peer: Peer) -> None:
        served = 0
        while requests is None or served < requests:
            head = peer.head()
            if not head:
                return
            if seen is not None:
                seen.append(head)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            served += 1

    return handle


def saying(response: bytes) -> Handler:
    """Return a handler that responds to every request with these bytes, and then closes."""

    def handle(peer: Peer) -> None:
        if peer.head():
            peer.send(response)

    return handle


class Ambassador:
    """The real program with the given upstream, and its addresses."""

    def __init__(self, start: Callable[..., Program], upstream: str, **environ: str) -> None:
        self.port = free_port()
        self.admin = free_port()
        listen = f"127.0.0.1:{self.port}"
        self.program = start(
            "ambassador",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{self.admin}",
            **({"AMBASSADOR_UPSTREAM": upstream} if upstream else {}),
            **{f"AMBASSADOR_{name}": value for name, value in {"LISTEN": listen, **environ}.items()},
        )
        self.program.wait_ready(self.admin)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> Peer:
        return Peer(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def ask(self, request: bytes = GET) -> tuple[int, bytes, bytes]:
        with self.connect() as peer:
            peer.send(request)
            return peer.response()

    def endpoints(self, name: str = "default") -> list[dict[str, Any]]:
        """Return the endpoints of an upstream, from `/status`."""
        page = get(f"http://127.0.0.1:{self.admin}/status").json()
        return [each for target in page["upstreams"][name]["targets"] for each in target["endpoints"]]

    def endpoint(self, backend: Backend) -> dict[str, Any]:
        """Return the endpoint of this backend, from `/status`."""
        (found,) = [each for each in self.endpoints() if each["address"] == f"127.0.0.1:{backend.port}"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name with these labels."""
        text = get(f"http://127.0.0.1:{self.admin}/metrics").text
        found = (line for line in text.splitlines() if re.match(rf"{name}(\{{| )", line))
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if all(each in line for each in wanted))

    @contextlib.contextmanager
    def holding_no_more(self, attempts: int) -> Iterator[None]:
        """Wait at the end until the descriptors that `attempts` (2 or more) opened inside are closed.

        One may stay: the first question whether an app has left opens a socket to the kernel, for good, and whether
        one is asked depends on when a tick comes.
        """
        assert attempts > 1
        before = self.metric("process_open_fds")
        yield
        wait_until(lambda: self.metric("process_open_fds") <= before + 1, "no descriptor of an attempt left")

    def rss(self) -> int:
        """Return the bytes of memory that the program holds now."""
        with open(f"/proc/{self.program.process.pid}/statm") as file:  # noqa: PTH123 - a file of the kernel
            return int(file.read().split()[1]) * 4096


def with_status(status: bytes, more: bytes = b"") -> Handler:
    """Return a handler that responds to every request (a POST has two bytes) with this status and these fields."""

    def handle(peer: Peer) -> None:
        while head := peer.head():
            if b"POST" in head:
                peer.exactly(2)
            peer.send(b"HTTP/1.1 %b\r\n%bContent-Length: 4\r\n\r\nbad\n" % (status, more))

    return handle


@contextlib.contextmanager
def backends(*handlers: Handler) -> Iterator[list[Backend]]:
    running = [Backend(handler) for handler in handlers]
    try:
        yield running
    finally:
        for backend in running:
            backend.stop()


def joined(running: list[Backend]) -> str:
    return ",".join(backend.url for backend in running)


def load(ambassador: Ambassador, *, clients: int, until: Callable[[int], bool], request: bytes = GET) -> list[str]:  # noqa: C901 - it contains the function of one client
    """Send requests on keep-alive connections until `until` (of the number of responses) holds; return the errors."""
    wrong: list[str] = []
    count = 0
    lock = threading.Lock()
    over = threading.Event()

    def one() -> None:
        nonlocal count
        peer: Peer | None = None
        while not over.is_set():
            try:
                peer = peer or ambassador.connect()
                peer.send(request)
                status, head, _ = peer.response()
                if status != 200:
                    wrong.append(head.decode())
                if b"Connection: close" in head:
                    peer.close()
                    peer = None
            except (OSError, AssertionError) as error:
                wrong.append(repr(error))
                if peer:
                    peer.close()
                peer = None
            with lock:
                count += 1
        if peer:
            peer.close()

    threads = [threading.Thread(target=one, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while not until(count) and time.monotonic() < deadline:
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert until(count), f"only {count} responses in {PATIENCE:g} s"
    return wrong


def hanging(peer: Peer) -> None:
    """Read, and never respond."""
    while peer.head():
        pass


def resetting(peer: Peer) -> None:
    """Read a request, and reset the connection."""
    peer.head()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
