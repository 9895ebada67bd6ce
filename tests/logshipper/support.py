"""Support for logshipper's tests: a receiver that can misbehave, an oracle for the lines that it got, and settings."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.support import free_port, get, wait_until

FAST = {
    "LOGSHIPPER_SCAN_INTERVAL": "50ms",
    "LOGSHIPPER_BATCH_TIMEOUT": "20ms",
    "LOGSHIPPER_RETRY_MIN": "20ms",
    "LOGSHIPPER_RETRY_MAX": "100ms",
    "LOGSHIPPER_REQUEST_TIMEOUT": "1m",
}
"""Settings with short times, so that tests are fast. A request has a minute: a receiver without a CPU is not dead."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 512  # or the kernel drops a SYN while this thread waits for a CPU


class Receiver:
    """An HTTP receiver of NDJSON. `mode` decides its responses, and may be changed at any time.

    ok: 204 · hang: no response until the client gives up · lost: stored, but the connection closes without a response ·
    a number: that status, nothing stored · limit:N: 413 for a body of more than N bytes · poison:TEXT: 400 for a body
    with that text

    Receivers of other protocols derive from it, and override `take`.
    """

    path = "/logs"

    def __init__(self, port: int = 0) -> None:
        self.mode = "ok"
        self.delay = 0.0  # seconds before each response
        self.headers: dict[str, str] = {}
        self.error_body = b""  # the body of a response that is no 2xx
        self.requests: list[dict[str, str]] = []  # the headers of all requests, in order
        self.stored: list[tuple[str, bytes]] = []  # Idempotency-Key and body
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._respond(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self._server = _Server(("127.0.0.1", port or free_port()), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a killed client is no error here
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{self.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on. The handshake is the connection's thread's work."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http://127.0.0.1", "https://localhost")

    def _respond(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if len(body) < int(request.headers["Content-Length"]):
            request.close_connection = True
            return  # the client was killed while it sent the body
        mode = self.mode
        self._closing.wait(self.delay)
        self.requests.append(dict(request.headers.items()))
        status = 204
        if mode == "hang":
            self._closing.wait(2)
            request.close_connection = True
            return
        if mode.isdigit():
            status = int(mode)
        if mode.startswith("limit:") and len(body) > int(mode.removeprefix("limit:")):
            status = 413
        if mode.startswith("poison:") and mode.removeprefix("poison:").encode() in body:
            status = 400
        reply = self.error_body
        if status < 300:
            status, reply = self.take(request.path, dict(request.headers.items()), body)
        if mode == "lost":
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        if status != 204:
            request.send_header("Content-Length", str(len(reply)))
        request.end_headers()
        request.wfile.write(reply)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Store the body of a request. Return the status and the body of the response."""
        del path
        self.stored.append((headers["Idempotency-Key"], body))
        return 204, b""

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- the arrived records -------------------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for _, body in list(self.stored) for line in body.splitlines()]

    def messages(self) -> list[str]:
        return [record["message"] for record in self.records()]


def lines_of(records: Iterable[dict[str, Any]]) -> Counter[str]:
    """Return the lines of the records, after repeats are dropped by id and pieces of lines are joined.

    A piece of a line that is there as a whole, too, is left out. Fails if an id has two different texts.
    """
    texts: dict[str, str] = {}
    places: dict[str, dict[int, str]] = {}  # generation -> offset -> the longest text that begins there
    again: set[tuple[str, int]] = set()  # places at which several texts begin
    for record in records:
        text = record["message"] + ("" if record.get("partial") else "\n")
        known = texts.setdefault(record["id"], text)
        assert known == text, f"{record['id']} stands for {known!r} and for {text!r}"
        generation, offset = place_of(record["id"])
        other = places.setdefault(generation, {}).setdefault(offset, text)
        if other != text:
            again.add((generation, offset))
            places[generation][offset] = max(other, text, key=len)
    lines: Counter[str] = Counter()
    for generation, pieces in places.items():
        end, wanted = 0, []
        for offset in sorted(pieces):
            if offset >= end:
                wanted.append(pieces[offset])
                end = offset + len(pieces[offset].encode()) if (generation, offset) in again else 0
        lines.update("".join(wanted).split("\n"))
    del lines[""]
    return lines


def place_of(ident: str) -> tuple[str, int]:
    """Return the generation and the offset of an id, which may have a size."""
    generation, _, place = ident.rpartition("-")
    return generation, int(place.partition("+")[0])


def status(admin_port: int) -> dict[str, Any]:
    page: dict[str, Any] = get(f"http://127.0.0.1:{admin_port}/status").json()
    return page


def metric(admin_port: int, name: str) -> float:
    """Return the value of one sample, such as `logshipper_pending_bytes{sink="default"}`."""
    text = get(f"http://127.0.0.1:{admin_port}/metrics").text
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))


def environ(folder: Path, admin_port: int, **more: str) -> dict[str, str]:
    """Return the settings of a logshipper that tails `folder/logs` and has its state in `folder/state`."""
    (folder / "logs").mkdir(exist_ok=True)
    return {
        **FAST,
        "LOGSHIPPER_PATHS": f"{folder}/logs/*.log",
        "LOGSHIPPER_STATE_DIR": f"{folder}/state",
        "LOGSHIPPER_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
        **more,
    }


def wait_for(receiver: Receiver, *messages: str) -> None:
    """Wait until the receiver has these messages and no others, in this order."""
    wait_until(lambda: receiver.messages() == list(messages), f"{messages} arrive; got {receiver.messages()}")


def not_ready(admin_port: int) -> str:
    """Return the text of `/readyz` while the program is not ready; "" if it is ready or has not started yet."""
    try:
        response = get(f"http://127.0.0.1:{admin_port}/readyz")
    except httpx.TransportError:
        return ""
    return "" if response.is_success else response.text


def open_files(process: int) -> dict[Path, Path]:
    """Return the descriptors of a process (below /proc) and the paths they lead to now. One may be closed meanwhile."""
    found = {}
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[link] = link.readlink()
    return found


def append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def a_chunk(
    data: bytes, start: int = 0, generation: str = "f00d", *, partial: bool = False, is_open: bool = False
) -> Chunk:
    """Return a chunk as it would be read from a file."""
    return Chunk(
        generation,
        "/logs/a%d.log",
        start,
        start,
        data,
        position_fingerprint(start + len(data), data),
        partial,
        is_open,
        input="default",
    )


def a_batch(*chunks: Chunk, **labels: str) -> Batch:
    """Return a batch of unparsed lines."""
    tailed = load(Settings, {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "stdout:"}).inputs["default"]
    return Batch("default", tuple(Pipeline(tailed, labels).process(item) for item in chunks))


def now() -> float:
    return time.monotonic()


@contextlib.contextmanager
def full_disk(*, nothing: bool = False) -> Iterator[None]:
    """Make each `os.write` fail with a full disk, after it has written ten bytes or `nothing`."""
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if not nothing:
            real(descriptor, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", full)
        yield


@contextlib.contextmanager
def descriptors_up_to(most: int) -> Iterator[None]:
    """Let this process open descriptors with numbers below `most`, or as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
