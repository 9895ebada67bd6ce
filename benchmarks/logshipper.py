"""The benchmark of logshipper: its CPU time beside that of `gzip -1 -c` for the same file, its memory and its
latencies.

    python -m benchmarks.logshipper [megabytes] [rounds] [case ...]

Files of 160-byte Java log lines (text, JSON, with stack traces) are shipped to a receiver in another process, which
discards them. Every promise is kept (positions, journal, ids, snapshots). CPU time is the user and system time of the
process, from the kernel. The best of several rounds counts, and for memory the worst. The start of the program is
included, so a smaller file makes a ratio worse. rsyslog's imfile with plain TCP is measured, too, if it is installed.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.collectors import Collector, receiving, wait_for
from benchmarks.figures import Comparison, Figure, conclude
from benchmarks.javalogs import write_log
from benchmarks.starts import compile_code

ROOT = Path(__file__).resolve().parent.parent
REGEX = r"(?P<time>\S+ \S+) (?P<level>\w+) +\[(?P<thread>[^\]]*)\] (?P<logger>\S+) - (?P<message>.*)"
EDITS = {"RENAME": "thread:process.thread", "REMOVE": "logger", "ADD": "team=shop"}
LIFTED = {"TIME_KEY": "time", "LEVEL_KEY": "level"}
_SILENCE = 10.0  # seconds of silence after which a peer has sent everything


@dataclass(frozen=True, slots=True)
class Case:
    """One setting of the program to be measured."""

    name: str
    limit: float = 0  # times gzip -1; 0: no limit
    log: str = "java"
    scheme: str = "http"
    settings: dict[str, str] = field(default_factory=dict)
    least: float = 0  # megabytes per CPU second; 0: no limit
    beyond: str = ""  # the limit is for the cost beyond that of this case


CASES = (
    Case("raw", 1.0),
    Case("json", 1.8, "json", settings={"FORMAT": "json"}),
    Case("json, time and level", log="json", settings={"FORMAT": "json", **LIFTED}),
    Case("regex", 2.0, settings={"FORMAT": "regex", "REGEX": REGEX}),
    Case("regex, time and level", settings={"FORMAT": "regex", "REGEX": REGEX, **LIFTED}),
    Case("java multiline", 1.5, "traces", settings={"MULTILINE": "java"}),
    Case("auto multiline", log="traces", settings={"MULTILINE": "auto"}),
    Case("cri", log="cri", settings={"FORMAT": "cri"}, least=25),
    Case("cri, json", log="cri", settings={"FORMAT": "cri,json"}, least=25),
    Case("cri, json, time and level", log="cri", settings={"FORMAT": "cri,json", **LIFTED}, least=25),
    Case("json, edits", log="json", settings={"FORMAT": "json", **EDITS}),
    Case("regex, edits", settings={"FORMAT": "regex", "REGEX": REGEX, **EDITS}),
    Case("json, ecs", log="json", settings={"FORMAT": "json", **LIFTED, "SINK_SCHEMA": "ecs"}),
    Case("json, otel", log="json", settings={"FORMAT": "json", **LIFTED, "SINK_SCHEMA": "otel"}),
    Case("loki", 1.1, scheme="loki+http"),
    Case("loki, snappy", 1.1, scheme="loki+http", settings={"COMPRESSION": "snappy"}),
    Case("three presets", 1.0, settings={"REDACT": "email,card,ipv4"}, beyond="raw"),
)
LIMIT_RSS = 60e6  # bytes


# -- the program -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def logshipper(paths: str, sink: str, state: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        "PATH": os.environ["PATH"],
        "LOGSHIPPER_PATHS": paths,
        "LOGSHIPPER_SINK": sink,
        "LOGSHIPPER_STATE_DIR": state,
        "LOGSHIPPER_ADMIN_LISTEN": f"unix:{state}/admin",
        "POD_NAME": "shop-7d4b9c6f5-x2x8p",
        **{f"LOGSHIPPER_{name}": value for name, value in settings.items()},
        **{name: value for name, value in os.environ.items() if name.startswith("LOGSHIPPER_")},
    }
    with open(f"{state}/stderr", "ab") as errors:  # noqa: PTH123 - the path is text
        process = subprocess.Popen([sys.executable, "-m", "sidecars.logshipper"], cwd=ROOT, env=environ, stderr=errors)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def usage(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Wait for the end of a process. Return its CPU seconds and its largest memory in bytes."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def cpu_so_far(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, with nanosecond resolution."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


# -- work ------------------------------------------------------------------------------------------------------------


def gzip(path: Path) -> float:
    """Return the CPU seconds of gzip for the file."""
    process = subprocess.Popen(["gzip", "-1", "-c", str(path)], stdout=subprocess.DEVNULL)
    return usage(process)[0]


def ship(case: Case, path: Path, port: int) -> tuple[float, float]:
    """Ship the whole file. Return CPU seconds and the largest memory in bytes."""
    with tempfile.TemporaryDirectory() as state:
        sink = f"{case.scheme}://127.0.0.1:{port}/"
        with logshipper(str(path), sink, state, DRAIN_TIMEOUT="10m", **case.settings) as process:
            wait_for((Path(state) / "admin").exists)
            process.send_signal(signal.SIGTERM)  # a drain ends exactly when everything is shipped
            cpu, memory = usage(process)
        if process.returncode != 0:
            sys.exit((Path(state) / "stderr").read_text())
        return cpu, memory


def compare(
    folder: Path, port: int, size: int, rounds: int, chosen: tuple[str, ...]
) -> tuple[list[Figure], list[Comparison]]:
    cases = [case for case in CASES if not chosen or case.name in chosen or case.name == "raw"]
    logs = {kind: folder / f"{kind}.log" for kind in sorted({case.log for case in cases})}
    for kind, path in logs.items():
        write_log(path, size, kind)
    theirs = dict.fromkeys(logs, float("inf"))
    ours = {case.name: float("inf") for case in cases}
    memory = 0.0
    for number in range(1, rounds + 1):
        for case in cases:
            theirs[case.log] = min(theirs[case.log], gzip(logs[case.log]))
            cpu, most = ship(case, logs[case.log], port)
            ours[case.name], memory = min(ours[case.name], cpu), max(memory, most)
            print(f"round {number}: {case.name}: {cpu:.2f} s CPU, {most / 1e6:.0f} MB", flush=True)
    figures = []
    for case in cases:
        cost = ours[case.name] - (ours[case.beyond] if case.beyond else 0)
        more = f"more than {case.beyond}; " if case.beyond else ""
        note = f"{more}{size / 1e6 / ours[case.name]:.0f} MB per CPU second"
        if case.limit:
            figures.append(Figure(f"{case.name}, of gzip -1", cost / theirs[case.log], case.limit, note=note))
        else:
            print(f"{case.name}: {cost / theirs[case.log]:.2f} times gzip -1 (no limit); {note}")
        if case.least:
            speed = size / 1e6 / ours[case.name]
            figures.append(Figure(f"{case.name}, of a CPU second", speed, case.least, "MB", at_least=True))
    figures.append(Figure("memory, throughout", memory / 1e6, LIMIT_RSS / 1e6, "MB"))
    seconds = {"gzip -1": theirs["java"], **{f"logshipper, {name}": cpu for name, cpu in ours.items()}}
    if shutil.which("rsyslogd"):
        seconds["rsyslog, imfile to TCP"] = min(rsyslog(folder, logs["java"]) for _ in range(rounds))
        print(f"rsyslog, imfile to TCP: {seconds['rsyslog, imfile to TCP']:.2f} s CPU", flush=True)
    return figures, [Comparison(f"CPU for {size / 1e6:.0f} MB", "s", seconds)]


def rsyslog(folder: Path, path: Path) -> float:
    """Return the CPU seconds of rsyslog for the same file over plain TCP: no ids, no responses, positions saved at
    the end.
    """
    state = folder / "rsyslog"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    received = threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = state / "conf"
        config.write_text(
            f'global(workDirectory="{state}")\nmodule(load="imfile")\ninput(type="imfile" file="{path}" tag="x")\n'
            'template(name="t" type="string" string="%msg%\\n")\n'
            f'action(type="omfwd" target="127.0.0.1" port="{server.getsockname()[1]}" protocol="tcp" template="t")\n'
        )
        threading.Thread(target=_count, args=(server, path.stat().st_size, received), daemon=True).start()
        command = ["rsyslogd", "-n", "-f", str(config), "-i", str(state / "pid")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not received.acquire(timeout=300):
            process.kill()
        process.terminate()
        return usage(process)[0]


def _count(server: socket.socket, size: int, received: threading.Semaphore) -> None:
    """Read until all bytes have come or the peer is silent: rsyslog does not send everything that it has read."""
    buffer, left = bytearray(1 << 20), size
    with server.accept()[0] as connection, contextlib.suppress(TimeoutError):
        connection.settimeout(_SILENCE)
        while left > 0 and (count := connection.recv_into(buffer)):
            left -= count
    received.release()


# -- waiting ---------------------------------------------------------------------------------------------------------


def wait_figures(folder: Path, seconds: int) -> list[Figure]:
    collector, logs, state = Collector(), folder / "many", folder / "state"
    logs.mkdir()
    state.mkdir()
    for number in range(100):
        (logs / f"{number}.log").write_text(f"first of {number}\n")
    figures = []
    with logshipper(
        f"{logs}/*.log", f"http://127.0.0.1:{collector.port}/", str(state), BATCH_TIMEOUT="100ms"
    ) as process:
        wait_for(lambda: len(collector.arrived) == 100)
        time.sleep(3)  # the first snapshots
        before, started = cpu_so_far(process.pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu_so_far(process.pid) - before) / (time.monotonic() - started) * 100
        figures += [
            Figure("idle CPU, 100 quiet files", share, 0.2, "%", note=f"of a core, over {seconds} s"),
            Figure("idle memory", resident(process.pid) / 1e6, 35, "MB"),
            Figure(
                "a new file is seen", max(time_to_first_line(collector, logs, number) for number in range(10)), 1, "s"
            ),
            Figure("line to sink, p99", latency(collector, logs / "1.log", seconds), 250, "ms", note="at 1 MB/s"),
        ]
    return figures


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def time_to_first_line(collector: Collector, logs: Path, number: int) -> float:
    """Create a file. Return the seconds until its line has arrived."""
    time.sleep(random.Random(number).random())
    created = time.monotonic()
    (logs / f"new{number}.log").write_text(f"new {number}\n")
    wait_for(lambda: f"new {number}" in collector.arrived)
    return collector.arrived[f"new {number}"] - created


def latency(collector: Collector, path: Path, seconds: int) -> float:
    """Write 1 MB/s. Return the 99th percentile of the milliseconds from the write of a line to its arrival."""
    written: dict[str, float] = {}
    with path.open("ab", buffering=0) as file:
        started = time.monotonic()
        for step in range(seconds * 100):
            lines = [f"latency {step} {line} ".ljust(159, "x") for line in range(62)]  # 10 KB every 10 ms
            file.write(("\n".join(lines) + "\n").encode())
            now = time.monotonic()
            written.update((line, now) for line in lines)
            time.sleep(max(0.0, started + (step + 1) / 100 - time.monotonic()))
    wait_for(lambda: len(collector.arrived.keys() & written.keys()) == len(written))
    times = sorted(collector.arrived[line] - when for line, when in written.items())
    return times[len(times) * 99 // 100] * 1000


def dead_sink_figures(folder: Path) -> list[Figure]:
    """Measure the time from SIGTERM to the exit with a dead sink (connection refused, or no response).

    Then count the lines that are lost after a start with a living sink.
    """
    worst, lost, count = 0.0, 0, 50_000
    for hanging in (False, True):
        place = folder / f"dead{hanging:d}"
        state, path = place / "state", place / "app.log"
        state.mkdir(parents=True)
        path.write_text("".join(f"line {number}\n" for number in range(count)))
        with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts connections, and never responds
            worst = max(worst, time_to_end(path, server.getsockname()[1] if hanging else 9, state, 1.0))
        collector = Collector()
        time_to_end(path, collector.port, state, 0)
        lost += count - len(collector.arrived)
        collector.close()
    return [
        Figure("SIGTERM to exit, dead sink", worst, 2, "s", note="refused, and no response"),
        Figure("lines lost by that", lost, 0, "lines"),
    ]


def time_to_end(path: Path, port: int, state: Path, after: float) -> float:
    """Run the program for `after` seconds. Return the seconds from SIGTERM to its exit."""
    with logshipper(str(path), f"http://127.0.0.1:{port}/", str(state)) as process:
        wait_for((state / "admin").exists)
        time.sleep(after)
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait()
        (state / "admin").unlink(missing_ok=True)
        return time.monotonic() - signalled


def main(megabytes: str = "400", rounds: str = "3", *chosen: str) -> int:
    compile_code(ROOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with receiving(folder) as port:
            figures, comparisons = compare(folder, port, int(megabytes) * 10**6, int(rounds), chosen)
        if not chosen:
            figures += wait_figures(folder, 15) + dead_sink_figures(folder)
    return conclude("logshipper", figures, comparisons)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main(*sys.argv[1:]))
