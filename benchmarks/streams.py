"""Encode and send: the bytes of log lines that a CPU second brings to Splunk, RELP, GELF and NATS.

    python -m benchmarks.streams [megabytes] [sink ...]

Batches of 512 KiB with 160-byte Java lines, text or JSON fields, are delivered by the sink itself, without the files
and the journal around it. The receiver is another process on loopback; it responds to everything at once. CPU time is
the user and system time of this process, the best of three rounds. For `nats` the real server is the receiver, with a
stream in memory. `gelf+http`, a request for each line, is measured if it is named: it takes a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.collectors import wait_for
from benchmarks.figures import Figure, conclude
from benchmarks.javalogs import write_log
from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.factory import create_sink
from sidecars.logshipper.transform.pipeline import Pipeline

_BATCH = 512 * 1024
_ROUNDS = 3
_LEAST = {"splunk": 30.0, "splunk, json": 30.0, "relp": 30.0, "gelf+tcp": 0.0, "gelf+http, bulk": 0.0, "nats": 0.0}
"""MB of lines that a CPU second brings at least, by case; 0 without a promise."""


# -- receivers, in a process of their own ------------------------------------------------------------------------------


def _splunk(connection: socket.socket) -> None:
    """Take every request, and acknowledge every number at once."""
    number = 0
    with connection.makefile("rb") as file:
        while head := b"".join(iter(file.readline, b"\r\n")):
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = file.read(length)
            if b"/ack" in head.split(b"\r\n", 1)[0]:
                numbers = body[9:-2].split(b",")
                reply = b'{"acks":{%b}}' % b",".join(b'"%b":true' % one for one in numbers)
            else:
                reply = b'{"text":"Success","code":0,"ackId":%d}' % number
                number += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply))


def _gelf_http(connection: socket.socket) -> None:
    with connection.makefile("rb") as file:
        while head := b"".join(iter(file.readline, b"\r\n")):
            file.read(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def _relp(connection: socket.socket) -> None:
    frame = re.compile(rb"(\d+) (\w+) (\d+) ?")
    data = b""
    while more := connection.recv(1 << 18):
        data += more
        at, responses = 0, []
        while head := frame.match(data, at):
            stop = head.end() + int(head[3]) + 1
            if stop > len(data):
                break
            offers = b"200 OK\nrelp_version=0\ncommands=syslog" if head[2] == b"open" else b"200 OK"
            responses.append(b"%b rsp %d %b\n" % (head[1], len(offers), offers))
            at = stop
        data = data[at:]
        connection.sendall(b"".join(responses))


def _discard(connection: socket.socket) -> None:
    while connection.recv(1 << 18):
        pass


_RECEIVERS: dict[str, Callable[[socket.socket], None]] = {
    "splunk": _splunk,
    "relp": _relp,
    "gelf+tcp": _discard,
    "gelf+http": _gelf_http,
}


def _serve(kind: str, port_file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        Path(port_file).write_text(str(server.getsockname()[1]))
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_RECEIVERS[kind], args=(connection,), daemon=True).start()


@contextlib.contextmanager
def _receiver(kind: str, folder: Path) -> Iterator[int]:
    """Run the receiver as a process, and yield its port."""
    port_file = folder / f"{kind}.port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.streams", "--serve", kind, str(port_file)]
    port = 0
    if kind == "nats":
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Path(sys.executable).with_name("nats-server")
        command = [str(server), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "jetstream")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        if kind == "nats":
            wait_for(lambda: _answers(port))
            _create_stream(port)
        else:
            wait_for(lambda: port_file.exists() and port_file.read_text() != "")
            port = int(port_file.read_text())
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _create_stream(port: int) -> None:
    body = b'{"name":"LOGS","subjects":["logs"],"storage":"memory","max_msgs":10000}'
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB inbox 1\r\n')
        connection.sendall(b"PUB $JS.API.STREAM.CREATE.LOGS inbox %d\r\n%b\r\n" % (len(body), body))
        answer = b""
        while b"created" not in answer:
            answer += connection.recv(4096)


# -- the measurement ---------------------------------------------------------------------------------------------------


def _batches(path: Path, form: str) -> list[Batch]:
    """Return the lines of the file in batches, as the pipeline makes them."""
    environ = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:", "LOGSHIPPER_FORMAT": form}
    settings = load(Settings, environ).inputs["default"]
    pipeline = Pipeline(settings, {"pod": "shop-7d4b9c6f5-x2x8p", "namespace": "shop"})
    data, batches, start = path.read_bytes(), [], 0
    while start < len(data):
        stop = data.rfind(b"\n", start, start + _BATCH) + 1
        piece = data[start:stop]
        chunk = Chunk("f00d", "/logs/app.log", start, start, piece, position_fingerprint(stop, piece))
        batches.append(Batch("default", (pipeline.process(chunk, time.time_ns()),), time.time_ns()))
        start = stop
    return batches


async def _deliver(url: str, batches: list[Batch], more: dict[str, str]) -> None:
    environ = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": url, **more}
    loaded = load(Settings, environ)
    sink: Any = create_sink(loaded, loaded.sinks["default"])
    if hasattr(sink, "_sleep"):  # of Splunk's sink: no pause before the first question
        sink._sleep = lambda _seconds: asyncio.sleep(0)  # noqa: SLF001 - it has no setting
    await sink.open(None)
    for batch in batches:
        outcome = await sink.deliver(batch)
        if outcome.retry or outcome.rejected:
            raise RuntimeError(f"not accepted: {outcome}")
    await sink.close()


def measure(case: str, folder: Path, path: Path, form: str) -> float:
    """Return the megabytes of lines that a CPU second encodes and sends."""
    kind = case.partition(",")[0]
    best = 0.0
    with _receiver(kind, folder) as port:
        scheme = {"splunk": "splunk+http"}.get(kind, kind)
        url = f"{scheme}://127.0.0.1:{port}{'/logs' if kind == 'nats' else ''}"
        more = {"LOGSHIPPER_SINK_TOKEN": "t"} if kind == "splunk" else {}
        if case.endswith("bulk"):
            more["LOGSHIPPER_SINK_BULK"] = "true"
        for _ in range(_ROUNDS):
            batches = _batches(path, form)
            began = time.process_time()
            uvloop.run(_deliver(url, batches, more))
            best = max(best, path.stat().st_size / 1e6 / (time.process_time() - began))
    return best


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--serve"]:
        _serve(*arguments[1:])
        return 0
    megabytes = int(arguments[0]) if arguments else 30
    chosen = arguments[1:] or list(_LEAST)
    figures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for form in ("raw", "json"):
            write_log(folder / form, megabytes * 1_000_000, "java" if form == "raw" else "json")
        for case in chosen:
            form = "json" if case.endswith("json") else "raw"
            speed = measure(case, folder, folder / form, form)
            figures.append(Figure(case, speed, _LEAST.get(case, 0.0), "MB/CPU-s", at_least=True))
            print(f"{case}: {speed:.0f} MB/CPU-s", flush=True)
    return conclude("streams", figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
