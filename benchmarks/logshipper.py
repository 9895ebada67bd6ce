"""logshipper beside `gzip -1 -c`: CPU seconds for the same file in the same run.

    python benchmarks/logshipper.py [megabytes] [rounds]

A file of 160-byte Java log lines is shipped to an HTTP receiver in another process, which discards what it gets; every
promise is kept (positions, journal, ids, snapshots). CPU is user and system time of the process, from the kernel.
Exits 1 when the best round costs more than gzip's best, or when memory exceeds 60 MB.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_RATIO = 1.0
LIMIT_RSS = 60e6  # bytes
_MESSAGES = (
    "order {} accepted for customer {}, total {}.{:02} EUR, paid by card",
    "cache miss for key shop:basket:{}, loading from replica {} took {}.{:02} ms",
    'GET "/api/v1/items/{}" answered {} after {}.{:02} ms to a client in region eu-central',
)


def write_log(path: Path, size: int) -> None:
    """Lines as Logback writes them, of 160 bytes."""
    rng = random.Random(1)
    with path.open("wb") as file:
        written = 0
        while written < size:
            block = []
            for _ in range(5000):
                numbers = rng.randrange(10**9), rng.randrange(10**6), rng.randrange(1000), rng.randrange(100)
                message = rng.choice(_MESSAGES).format(*numbers)
                head = f"2026-01-{rng.randrange(1, 28):02} 10:{rng.randrange(60):02}:{rng.randrange(60):02}."
                line = f"{head}{rng.randrange(1000):03} INFO  [http-nio-8080-exec-{rng.randrange(100)}] shop.Order - "
                block.append(f"{line}{message} trace={rng.getrandbits(128):032x}{rng.getrandbits(256):064x}"[:159])
            written += file.write(("\n".join(block) + "\n").encode())


def receiver(port_file: str) -> None:
    """A discarding HTTP receiver: reads a request's head and body, answers 204."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Path(port_file).write_text(str(server.getsockname()[1]))
        buffer = bytearray(1 << 20)
        while True:
            connection, _ = server.accept()
            with connection:
                while head := _head(connection):
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                    left = length - len(head.partition(b"\r\n\r\n")[2])
                    while left > 0:
                        left -= connection.recv_into(buffer, min(left, len(buffer)))
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            return b""
        head += more
    return head


def usage(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """CPU seconds and the largest memory (bytes) of a process that ends now."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def gzip(path: Path) -> float:
    process = subprocess.Popen(["gzip", "-1", "-c", str(path)], stdout=subprocess.DEVNULL)
    return usage(process)[0]


def logshipper(path: Path, port: int) -> tuple[float, float, float]:
    """CPU seconds, bytes of memory, and seconds on the clock."""
    with tempfile.TemporaryDirectory() as state:
        environ = {
            "PATH": os.environ["PATH"],
            "LOGSHIPPER_PATHS": str(path),
            "LOGSHIPPER_SINK": f"http://127.0.0.1:{port}/",
            "LOGSHIPPER_STATE_DIR": state,
            "LOGSHIPPER_ADMIN_LISTEN": f"unix:{state}/admin",
            "POD_NAME": "shop-7d4b9c6f5-x2x8p",
            **{name: value for name, value in os.environ.items() if name.startswith("LOGSHIPPER_")},
        }
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecars.logshipper"], cwd=ROOT, env=environ, stderr=subprocess.PIPE
        )
        time.sleep(1)  # a drain reads everything to its end: the work is the same, and its end is well defined
        process.send_signal(signal.SIGTERM)
        cpu, memory = usage(process)
        if process.returncode != 0:
            sys.exit((process.stderr.read() if process.stderr else b"").decode())
        return cpu, memory, time.monotonic() - started


def main(megabytes: int = 400, rounds: int = 3) -> int:
    with tempfile.TemporaryDirectory() as folder:
        log, port_file = Path(folder) / "app.log", Path(folder) / "port"
        write_log(log, megabytes * 10**6)
        size = log.stat().st_size
        sink = subprocess.Popen([sys.executable, __file__, "--receive", str(port_file)])
        try:
            while not (port_file.exists() and port_file.read_text()):
                time.sleep(0.05)
            port = int(port_file.read_text())
            results = []
            for number in range(1, rounds + 1):
                theirs, (ours, memory, wall) = gzip(log), logshipper(log, port)
                results.append((theirs, ours, memory))
                print(
                    f"round {number}: gzip -1 {theirs:.2f} s · logshipper {ours:.2f} s CPU, {wall:.1f} s wall, "
                    f"{memory / 1e6:.0f} MB · ratio {ours / theirs:.2f}"
                )
        finally:
            sink.kill()
            sink.wait()
    theirs, ours = min(result[0] for result in results), min(result[1] for result in results)
    memory = max(result[2] for result in results)
    ratio = ours / theirs
    print(f"{size / 1e6:.0f} MB raw to HTTP NDJSON: {ratio:.2f} times gzip -1 (limit {LIMIT_RATIO:g})", end=", ")
    print(f"{size / 1e6 / ours:.0f} MB per CPU second, at most {memory / 1e6:.0f} MB of memory (limit 60)")
    return int(ratio > LIMIT_RATIO or memory > LIMIT_RSS)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.argv[1:2] == ["--receive"]:
        receiver(sys.argv[2])
    sys.exit(main(*map(int, sys.argv[1:])))
