"""The ambassador while nobody reads its log, beside one whose log is read. `python -m benchmarks.stalled_log`.

Both log every request (`ACCESS_LOG=all`) and forward to the same nginx. They are measured in turn, so that a busy
machine affects both alike; the figures are the medians of the rounds. The stalled one's stderr is a full pipe from the
first request on.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from benchmarks.ambassador import latencies
from benchmarks.ambassador_peers import HTTP, Origin, Proxy, ambassador, plain, running
from benchmarks.figures import Figure, conclude

ROUNDS = 5
SECONDS = 4.0  # of each measurement
REQUESTS = 2000
DROPPED = b"sidecar_log_lines_dropped_total "


def read_all(descriptor: int) -> None:
    while os.read(descriptor, 1 << 16):
        pass


def fill(descriptor: int) -> None:
    """Fill the pipe to its last byte, and leave the flags of its description as they were."""
    os.set_blocking(descriptor, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(descriptor, b"." * size)
        except BlockingIOError:
            pass
    os.set_blocking(descriptor, True)


def begin(stack: ExitStack, origin: Origin, name: str) -> tuple[Proxy, int, int]:
    """Start an ambassador whose stderr is a pipe. Return it and the ends of the pipe."""
    ours, theirs = os.pipe()
    proxy = ambassador(name, origin, plain(sys.executable), ACCESS_LOG="all", LOG_FORMAT="json")
    stack.enter_context(running(proxy.command, 0, proxy.environ, list(proxy.ports.values()), stderr=theirs))
    return proxy, ours, theirs


def p99(proxy: Proxy) -> float:
    """Return the 99th percentile in seconds."""
    taken = latencies(proxy.ports[HTTP], SECONDS)
    return taken[int(len(taken) * 0.99)]


def answered(proxy: Proxy) -> int:
    """Return how many of REQUESTS requests get 200."""
    url = f"http://127.0.0.1:{proxy.ports[HTTP]}/1k.bin"
    statuses = []
    for _ in range(REQUESTS):
        with urllib.request.urlopen(url, timeout=60) as response:
            statuses.append(response.status)
    return statuses.count(200)


def dropped(proxy: Proxy) -> int:
    with urllib.request.urlopen(f"http://{proxy.environ['AMBASSADOR_ADMIN_LISTEN']}/metrics", timeout=60) as response:
        page = response.read()
    return int(float(page.split(DROPPED)[-1].split(b"\n")[0]))


def main() -> int:
    with ExitStack() as stack:
        origin = Origin(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(running(origin.prepare(), 1, {}, [origin.port]))
        read, ours, _ = begin(stack, origin, "read")
        threading.Thread(target=read_all, args=[ours], daemon=True).start()
        stalled, _, theirs = begin(stack, origin, "stalled")
        fill(theirs)
        rounds = [(p99(stalled), p99(read)) for _ in range(ROUNDS)]
        ratio = statistics.median(one / other for one, other in rounds)
        note = f"{statistics.median(one for one, _ in rounds) * 1000:.2f} ms"
        count = answered(stalled)
        lost = dropped(stalled)
    return conclude(
        "stalled_log",
        [
            Figure("p99 with the log stalled / read", ratio, 1.1, note=note),
            Figure(f"answered of {REQUESTS:,} requests", count, REQUESTS, "", at_least=True),
            Figure("lines dropped and counted", lost, 1, "", at_least=True),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
