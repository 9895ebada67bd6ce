"""One hostile receiver: the other sink, `/livez`, `/status` and SIGTERM go on, and nothing of its own is lost."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import repeat
from pathlib import Path

import httpx
import pytest

from tests.conftest import Start
from tests.logshipper.receivers.stream import Stream
from tests.logshipper.support import Receiver, append, environ, metric, status
from tests.support import free_port, wait_until

_HEAD = b"HTTP/1.1 200 OK\r\n"
_HOLLOW = 28 * 2**20


def chunks(status: bytes = _HEAD) -> Iterator[bytes]:
    """Yield a body in chunks of one byte each, without end."""
    yield status + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from repeat(b"1\r\nx\r\n" * 1000)


def bytes_of_a_long_response() -> Iterator[bytes]:
    """Yield a response whose last bytes never come."""
    yield _HEAD + b"Content-Length: 60000\r\n\r\n"
    yield from repeat(b"x", 50_000)


def interim_responses() -> Iterator[bytes]:
    yield from repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def hollow() -> Iterator[bytes]:
    yield _HEAD + b"Content-Length: %d\r\n\r\n" % _HOLLOW
    yield b'{"errors":true,"items":['
    yield from repeat(b"[]," * 2**15, _HOLLOW // (3 * 2**15) + 1)


def dripping_head() -> Iterator[bytes]:
    yield _HEAD + b"X: "
    yield from repeat(b"x")


def msgpack_in_bytes() -> Iterator[bytes]:
    """Yield an array that never ends, a byte at a time."""
    yield b"\xdd\xff\xff\xff\xff"
    yield from repeat(b"\x91")


def relp_in_bytes() -> Iterator[bytes]:
    yield b"1 rsp 8000 200 OK\n"
    yield from repeat(b"x")


def frames_without_end() -> Iterator[bytes]:
    """Yield the length of the longest frame of Kafka's, and bytes of it without end."""
    yield b"\x00\x10\x00\x00"
    yield from repeat(b"\x00" * 1000)


def a_huge_frame() -> Iterator[bytes]:
    yield b"\x7f\xff\xff\xff"
    yield from repeat(b"\xff" * 1000)


def a_huge_array() -> Iterator[bytes]:
    """Yield a response to ApiVersions that promises two thousand million entries."""
    yield b"\x00\x00\x00\x0a" + bytes(6) + b"\x7f\xff\xff\xff"


def talk() -> Iterator[bytes]:
    yield from repeat(b"blah\n" * 1000)


RESPONSES: dict[str, Callable[[], Iterator[bytes]]] = {
    "chunks of one byte": chunks,
    "chunks of one byte with a 400": lambda: chunks(b"HTTP/1.1 400 Bad Request\r\n"),
    "a long answer in bytes": bytes_of_a_long_response,
    "endless 100 Continue": interim_responses,
    "28 MiB of []": hollow,
    "a head in bytes": dripping_head,
    "msgpack in bytes": msgpack_in_bytes,
    "a frame in bytes": relp_in_bytes,
    "talk": talk,
    "frames without end": frames_without_end,
    "a huge frame": a_huge_frame,
    "a huge array": a_huge_array,
    "nothing": lambda: iter(()),
}


class Hostile(Stream):
    """Sends the same bytes on every connection, as fast as they are read, and reads in between."""

    def __init__(self, response: str) -> None:
        self._respond = response
        super().__init__(None)

    def converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(1 << 16)
        threading.Thread(target=self._read_on, args=(connection,), daemon=True).start()
        for piece in RESPONSES[self._respond]():
            connection.sendall(piece)
        self._read_on(connection)

    @staticmethod
    def _read_on(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass


KAFKA = ["frames without end", "a huge frame", "a huge array"]
_OF_STREAMS = (*KAFKA, "msgpack in bytes", "talk", "a frame in bytes")
HTTP = [name for name in RESPONSES if name not in _OF_STREAMS]
CASES = [
    *(("http", "/", response) for response in HTTP),
    *(("elasticsearch+http", "/logs", response) for response in ("28 MiB of []", "chunks of one byte")),
    ("loki+http", "", "chunks of one byte with a 400"),
    ("otlp+http", "", "a long answer in bytes"),
    ("splunk+http", "", "chunks of one byte"),
    *(("s3", "", response) for response in ("28 MiB of []", "chunks of one byte with a 400")),
    ("relp", "", "a frame in bytes"),
    *(("kafka", "/logs", response) for response in KAFKA),
    *(("forward", "", response) for response in ("msgpack in bytes", "talk", "nothing")),
]


@pytest.mark.parametrize(("scheme", "path", "response"), CASES)
def test_a_hostile_receiver_holds_up_nothing_but_its_own_lines(
    tmp_path: Path, start: Start, receiver: Receiver, scheme: str, path: str, response: str
) -> None:
    admin = free_port()
    log = tmp_path / "logs" / "app.log"
    with closing(Hostile(response)) as hostile:
        variables = environ(
            tmp_path,
            admin,
            LOGSHIPPER_GOOD_SINK=receiver.url,
            LOGSHIPPER_BAD_SINK=f"{scheme}://127.0.0.1:{hostile.port}{path}",
            LOGSHIPPER_REQUEST_TIMEOUT="2s",
        )
        if scheme == "s3":
            variables |= {"LOGSHIPPER_BAD_SINK": "s3://logs", "LOGSHIPPER_BAD_GIVE_UP_AFTER": "1500ms"}
            variables |= {"LOGSHIPPER_BAD_SINK_USERNAME": "AKID", "LOGSHIPPER_BAD_SINK_PASSWORD": "of-the-key"}
            variables["LOGSHIPPER_BAD_SINK_ENDPOINT"] = f"http://127.0.0.1:{hostile.port}"
        if scheme.startswith("splunk"):
            variables["LOGSHIPPER_BAD_SINK_TOKEN"] = "t0ken"
        append(log, "".join(f"{number}\n" for number in range(1000)))
        shipper = start("logshipper", **variables)
        wait_until(lambda: hostile.connections, "a connection to the hostile receiver")
        for number in range(5):
            append(log, f"more {number}\n")
            wait_until(lambda: f"more {number}" in receiver.messages(), "the other sink's line")  # noqa: B023 - at once
            assert httpx.get(f"http://127.0.0.1:{admin}/livez", trust_env=False, timeout=30).is_success
        wait_until(lambda: status(admin)["sinks"]["bad"]["trouble"], "its trouble in /status")
        assert metric(admin, 'logshipper_pending_bytes{sink="bad"}') == log.stat().st_size
        assert metric(admin, 'logshipper_dropped_lines_total{reason="rejected",sink="bad"}') == 0
        assert shipper.stop() == 69
    assert f"{log.stat().st_size} bytes for LOGSHIPPER_BAD_SINK" in shipper.stderr
