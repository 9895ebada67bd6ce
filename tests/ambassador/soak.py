"""A long run that watches memory and descriptors: `make soak REQUESTS=10000000`.

wrk requests a small file again and again. Between its runs clients and servers misbehave: they send bytes that are not
HTTP, leave in the middle of a request or a response, or do not read. Any leak adds up. After a warm-up the memory must
not grow by more than a few megabytes, and all descriptors must be closed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ambassador.malformed import REQUESTS
from tests.ambassador.support import GET, Ambassador, Backend, Peer
from tests.support import Program, peer, serving, wait_until

GROWTH = 3_000_000  # bytes by which the memory may grow after the warm-up
SLACK = 2  # descriptors: connections of the last requests to the admin port
_WARM_UP = 0.1  # of all requests
_RUN = 10  # seconds of wrk at a time

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "{body}"; }} }}
}}
""".replace("{body}", "x" * 1024)


@dataclass(frozen=True, slots=True)
class Sample:
    requests: int
    rss: int  # bytes
    descriptors: int

    def __str__(self) -> str:
        return f"{self.requests:>12,} requests  {self.rss / 1e6:7.1f} MB  {self.descriptors:4} descriptors"


def sample(ambassador: Ambassador) -> Sample:
    """Measure it at rest: without connections of the app, and with only idle ones to the upstream."""
    wait_until(lambda: ambassador.metric("ambassador_downstream_connections_open") == 0, "no connection left")
    requests = int(ambassador.metric("ambassador_requests_total"))
    held = len(list(Path(f"/proc/{ambassador.program.process.pid}/fd").iterdir()))
    idle = int(ambassador.metric("ambassador_upstream_connections_open"))
    return Sample(requests, ambassador.rss(), held - idle)


def misbehave(ambassador: Ambassador) -> None:
    """Try every way to cause a leak, once."""
    for message, _ in list(REQUESTS.values())[::7]:
        with ambassador.connect() as app, contextlib.suppress(OSError):
            app.send(message)
            app.rest()
    with ambassador.connect() as app:
        app.send(GET[:20])
    with ambassador.connect() as app:
        app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    with ambassador.connect() as app:
        app.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    with ambassador.connect() as app:
        app.send(GET * 50)  # and does not wait for the responses
    with ambassador.connect() as app:
        app.send(GET)
        app.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # it ends with a reset
    with ambassador.connect() as app:
        app.send(GET * 20)
        app.socket.shutdown(socket.SHUT_WR)
        app.rest()


@contextmanager
def misbehaving_upstream() -> Iterator[Backend]:
    """Run a server that sends only half of every second response that it announces, and closes."""

    def handle(app: Peer) -> None:
        for number in range(4):
            if not app.head():
                return
            if number % 2:
                app.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nhalf")
                return
            app.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    backend = Backend(handle)
    try:
        yield backend
    finally:
        backend.stop()


def wrk(port: int, seconds: float) -> None:
    command = ["wrk", "-t1", "-c64", f"-d{seconds:g}s", f"http://127.0.0.1:{port}/"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wrong = re.search(r"Non-2xx.*", out)
    if wrong:
        raise AssertionError(wrong[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=10_000_000)
    wanted: int = parser.parse_args().requests
    if not shutil.which("wrk"):
        print("wrk is not installed, and nothing else here is fast enough", file=sys.stderr)  # noqa: T201 - a program's output
        return 1
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        url, _ = stack.enter_context(serving(folder, NGINX, [peer("nginx"), "-p", name, "-c"]))

        def start(sidecar: str, **environ: str) -> Program:
            started = Program(["-m", f"sidecars.{sidecar}"], environ, folder)
            stack.callback(started.kill)
            return started

        ambassador = Ambassador(start, url)
        began = time.monotonic()
        first: Sample | None = None
        while True:
            wrk(ambassador.port, _RUN)
            misbehave(ambassador)
            now = sample(ambassador)
            print(f"{time.monotonic() - began:7.0f} s {now}", flush=True)  # noqa: T201 - a program's output
            if first is None and now.requests >= wanted * _WARM_UP:
                first = now
            if first is not None and now.requests >= wanted:
                break
    grown = now.rss - first.rss
    print(f"grown by {grown / 1e6:.1f} MB after the warm-up, at most {GROWTH / 1e6:g} are allowed")  # noqa: T201 - a program's output
    return 0 if grown <= GROWTH and now.descriptors <= first.descriptors + SLACK else 1


if __name__ == "__main__":
    sys.exit(main())
