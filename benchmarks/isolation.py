"""The isolation of the chassis beside what it replaces: `python -m benchmarks.isolation`. CPU time and memory.

- A file opened beneath a root, five names deep and one: by openat2, and by the chain of descriptors that takes its
  place where openat2 is refused. Beside os.open with `dir_fd` alone, which resolves the name in one call, follows links
  on the way, and does not look at what it has opened. All of them close the file.
- The bare calls of that chain, an open and a close for each name: no code in Python makes a chain in less time. The
  chain is measured beside this floor, too.
- The confinement at the start, in processes of their own: the time of the call with the load of its modules, and the
  memory that it adds. The least of many. The code is byte-compiled before, as in the image.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, conclude, refuse
from sidecars.chassis.isolation import openat2
from sidecars.chassis.isolation.beneath import Root

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, OPENS, STARTS = 15, 2_000, 25
DEEP, FLAT = "a/b/c/d/file", "file"
START = """
import os, time
from sidecars.chassis.config import effective_settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.warcopier.settings import Settings
settings = load(Settings, {"WARCOPIER_TARGET": "/tmp"})
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
roots = list(effective_settings.declared_roots(settings, os.environ))
before, began = resident(), time.process_time()
from sidecars.chassis.isolation import confine
confine.confine(roots, "best-effort", "X")
took, more = time.process_time() - began, resident() - before
print(took * 1e3, more / 2**20, confine.status()["landlock"])
"""


def fastest(opened: list[Callable[[], int]]) -> list[float]:
    """Return the CPU time of one open and close of each, in microseconds: the best of rounds taken by turns."""
    best = [float("inf")] * len(opened)
    for _ in range(ROUNDS):
        for number, each in enumerate(opened):
            began = time.thread_time()
            for _ in range(OPENS):
                os.close(each())
            best[number] = min(best[number], time.thread_time() - began)
    return [seconds / OPENS * 1e6 for seconds in best]


def opens(folder: Path) -> list[Figure]:
    (folder / DEEP).parent.mkdir(parents=True)
    for name in (DEEP, FLAT):
        (folder / name).touch()
    found: list[Figure] = []
    with Root.open(folder) as root:

        def plain(name: str) -> Callable[[], int]:
            return lambda: os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root.descriptor)

        def chain(name: str) -> int:
            openat2.probed[:] = ["ENOSYS"]  # as if the kernel had refused the call
            descriptor = root.open_file(name)
            openat2.probed[:] = [""]  # it has not
            return descriptor

        def bare(name: str) -> int:
            directory = root.descriptor
            for component in name.split("/")[:-1]:
                below = os.open(component, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                if directory != root.descriptor:
                    os.close(directory)
                directory = below
            descriptor = os.open("file", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
            if directory != root.descriptor:
                os.close(directory)
            return descriptor

        for name, what, limit in ((DEEP, "5 names deep", 5.0), (FLAT, "1 name deep", 2.0)):
            floor, ours, other, calls = fastest(
                [
                    plain(name),
                    lambda name=name: root.open_file(name),  # type: ignore[misc] # mypy knows no defaults of lambdas
                    lambda name=name: chain(name),  # type: ignore[misc] # mypy knows no defaults of lambdas
                    lambda name=name: bare(name),  # type: ignore[misc] # mypy knows no defaults of lambdas
                ]
            )
            note = f"os.open: {floor:.1f} µs"
            found.append(Figure(f"opened beneath, {what}, by openat2", ours / floor, 2.0, note=note))
            note += f"; the bare calls: {calls / floor:.1f} x"
            found.append(Figure(f"opened beneath, {what}, by the chain", other / floor, limit, note=note))
            if name == DEEP:
                found.append(Figure("the same, of the bare calls of a chain", other / calls, 1.5, note=note))
    return found


def confinement(folder: Path) -> list[Figure]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "pycache")}

    def start() -> list[str]:
        command = [sys.executable, "-c", START]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split()

    warm = START.replace("confine.confine(", "print(")  # compiles all modules: a confined process writes no bytecode
    subprocess.run([sys.executable, "-c", warm], env=environ, capture_output=True, check=True)
    done = [start() for _ in range(STARTS)]
    took, more = (min(float(one[column]) for one in done) for column in (0, 1))
    return [
        Figure("confinement at the start", took, 5.0, "ms", note=f"CPU; Landlock ABI {done[0][2]}"),
        Figure("its memory", more, 1.0, "MiB", note="resident"),
    ]


def main() -> int:
    if openat2.absence():
        return refuse(f"this kernel, or this container, has no openat2: {openat2.absence()}")
    with tempfile.TemporaryDirectory() as folder:
        return conclude("isolation", [*opens(Path(folder)), *confinement(Path(folder))])


if __name__ == "__main__":
    sys.exit(main())
