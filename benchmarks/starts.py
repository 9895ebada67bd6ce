"""The start of each program, until it is ready or done: `python -m benchmarks.starts [TREE …]`. CPU time and memory.

A service is ready when its `/readyz` answers 200; that request is in the figure. A job has ended. CPU time is that of
the process with all of its threads, by its own clock (clock_getcpuclockid(3)) or its rusage: waiting costs nothing. The
resident memory is that of the ready service, and again after one GET of `/metrics` and of `/status`, as it is in a Pod
that is scraped.

The starts of all programs take turns, and the least of each counts. Beside them a Python starts that does nothing, and
one that loads what a service needs of others (asyncio, uvloop, h11). The figures are ratios to the two, since a busy
machine slows all alike. The code is byte-compiled before, as in the images: a confined process writes no bytecode.
Other checkouts take turns, too, if they are named: their figures are printed beside ours.

The exit status is 1 if a figure misses its limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Comparison, Figure, conclude, refuse

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 15
SOON = 60.0  # seconds
NOTHING, PARTS = "Python alone", "Python with the parts of others"
PEERS = {NOTHING: ("-I", "-c", "pass"), PARTS: ("-I", "-c", "import asyncio, h11, uvloop")}
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: user and system time in nanoseconds


@dataclass(frozen=True)
class Start:
    """A start of one program. `limit` is a ratio to the peer; `compiled` is the form of the images."""

    module: str
    peer: str
    limit: float
    settings: Callable[[Path], Mapping[str, str]]
    ends: bool = False
    compiled: bool = False


@dataclass
class Cost:
    """The least of each: CPU ms, resident MB when ready, and MB once it was scraped."""

    cpu: float = float("inf")
    memory: float = float("inf")
    scraped: float = float("inf")

    def take(self, other: Cost) -> None:
        self.cpu, self.memory = min(self.cpu, other.cpu), min(self.memory, other.memory)
        self.scraped = min(self.scraped, other.scraped)


@dataclass(frozen=True)
class Run:
    """One start in one checkout."""

    name: str
    start: Start
    tree: Path
    folder: Path
    cost: Cost = field(default_factory=Cost)

    def once(self) -> None:
        environ = environ_of(self.tree, self.start.settings(self.folder), compiled=self.start.compiled)
        command = [sys.executable, "-m", self.start.module]
        self.cost.take(ended(command, environ) if self.start.ends else ready(command, environ))


def wars(folder: Path) -> dict[str, str]:
    """Return the settings of a copier with one small WAR, and a target of its own."""
    source, target = folder / "shop.war", Path(tempfile.mkdtemp(dir=folder))
    if not source.exists():
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("WEB-INF/web.xml", "<web-app/>")
    return {"WARCOPIER_SOURCE": str(source), "WARCOPIER_TARGET": str(target)}


def logs(folder: Path) -> dict[str, str]:
    """Return the settings of a logshipper with one file and a new state."""
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "app.log").write_text("a line\n")
    state = tempfile.mkdtemp(dir=folder)
    return {"LOGSHIPPER_PATHS": f"{folder}/logs/*.log", "LOGSHIPPER_SINK": "stdout:", "LOGSHIPPER_STATE_DIR": state}


def upstream(_folder: Path) -> dict[str, str]:
    return {"AMBASSADOR_UPSTREAM": "http://127.0.0.1:9", "AMBASSADOR_LISTEN": f"127.0.0.1:{free_port()}"}


def target(_folder: Path) -> dict[str, str]:
    return {"ADAPTER_TARGET": "http://127.0.0.1:9", "ADAPTER_LISTEN": f"127.0.0.1:{free_port()}"}


STARTS = {
    "adapter": Start("sidecars.adapter", PARTS, 1.7, target),
    "ambassador, compiled": Start("sidecars.ambassador", PARTS, 2.0, upstream, compiled=True),
    "ambassador, plain": Start("sidecars.ambassador", PARTS, 2.0, upstream),
    "logshipper": Start("sidecars.logshipper", PARTS, 2.3, logs),
    "warcopier, WATCH": Start(
        "sidecars.warcopier", PARTS, 2.0, lambda folder: {"WARCOPIER_WATCH": "true", **wars(folder)}
    ),
    "warcopier, once": Start("sidecars.warcopier", NOTHING, 4.0, wars, ends=True),
}


def environ_of(tree: Path, settings: Mapping[str, str], *, compiled: bool = False) -> dict[str, str]:
    """Return the environment of a program of this checkout."""
    paths = [str(tree / "build" / "compiled")] if compiled else []
    code = {"PYTHONPATH": os.pathsep.join([*paths, str(tree)]), "PYTHONSAFEPATH": "1"}
    return {"PATH": os.environ["PATH"], **code, **settings}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def ready(command: list[str], environ: Mapping[str, str]) -> Cost:
    """Start a service, wait until it is ready, scrape it, and kill it."""
    port = free_port()
    own = {f"{command[-1].rpartition('.')[2].upper()}_ADMIN_LISTEN": f"127.0.0.1:{port}", **environ}
    process = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        for line in process.stderr:  # it asks nothing before the port is there: a connection costs the service time
            if "admin endpoints answer" in line:
                break
        wait_until_ready(process, port)
        cpu, memory = cpu_of(process.pid), resident(process.pid)
        for path in ("/metrics", "/status"):
            assert get(port, path).startswith(b"HTTP/1.1 200"), path
        return Cost(cpu * 1e3, memory, resident(process.pid))
    finally:
        kill(process)
        process.stderr.close()


def wait_until_ready(process: subprocess.Popen[str] | subprocess.Popen[bytes], port: int) -> None:
    """Wait for 200 from `/readyz` on the admin port."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(ConnectionError):
            if get(port, "/readyz").startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.002)
    raise SystemExit(f"{process.args!r} was not ready in {SOON:g} s, or has ended")


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process with all of its threads, and of its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(time.clock_gettime((~one << 3) | _PROCESS_CLOCK) for one in (pid, *map(int, children)))


def kill(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a process, and wait for it."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def ended(command: list[str], environ: Mapping[str, str]) -> Cost:
    """Run a job to its end."""
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} has ended with {process.returncode}")
    return Cost((used.ru_utime + used.ru_stime) * 1e3)


def get(port: int, path: str) -> bytes:
    """Return the answer to one request."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def resident(pid: int) -> float:
    """Return the resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def compile_code(tree: Path) -> None:
    """Byte-compile a checkout beside its sources, as an installation has it."""
    folders = [folder for folder in ("sidecars", "build/compiled") if (tree / folder).is_dir()]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], cwd=tree, check=True)


def measure(trees: list[Path], folder: Path, rounds: int = ROUNDS) -> dict[tuple[str, Path], Cost]:
    """Return the least cost of each start in each tree, by its name and the tree. That of a peer has the first tree."""
    for tree in trees:
        compile_code(tree)
    starts = [
        Run(name, start, tree, folder)
        for name, start in STARTS.items()
        for tree in trees
        if not start.compiled or (tree / "build" / "compiled").is_dir()
    ]
    costs = {(run.name, run.tree): run.cost for run in starts} | {(name, trees[0]): Cost() for name in PEERS}
    for _ in range(rounds):
        for name, arguments in PEERS.items():
            costs[name, trees[0]].take(ended([sys.executable, *arguments], {"PATH": os.environ["PATH"]}))
        for run in starts:
            run.once()
    return costs


def main(*others: str) -> int:
    trees = [ROOT, *(Path(other).resolve() for other in others)]
    if not (ROOT / "build" / "compiled").is_dir():
        return refuse("the ambassador is not compiled: make compiled")
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(trees, Path(folder))
    for (name, tree), cost in sorted(costs.items()):
        memory = "" if cost.memory == float("inf") else f"{cost.memory:.1f} MB, scraped {cost.scraped:.1f} MB"
        print(f"{name:32} {cost.cpu:7.1f} ms {memory:26} {tree}")
    figures = [
        Figure(
            f"{name}: start",
            costs[name, ROOT].cpu / costs[start.peer, ROOT].cpu,
            start.limit,
            note=f"of {start.peer}; CPU {costs[name, ROOT].cpu:.0f} ms",
        )
        for name, start in STARTS.items()
    ]
    seconds = {name: cost.cpu for (name, tree), cost in costs.items() if tree == ROOT}
    return conclude("starts", figures, [Comparison("start until ready or done, CPU", "ms", seconds)])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
