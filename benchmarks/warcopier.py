"""The copier beside what people use today: `python benchmarks/warcopier.py [megabytes]`.

- wall time for one big WAR beside `cp` + `sync` of the same file, and beside that + `sha256sum`. With a check of every
  entry (`war`), and without (`none`), where the digests of source and copy are still taken and compared: there is no
  way to have none, so beside `cp` + `sync` there is no figure to be met
- wall time from start to finish for a WAR of 5 MB beside a Python that does nothing, and of the second run, which finds
  it published; the code is byte-compiled before, as it is in the image
- the most memory that the run with the big one takes

All in turns, in one run, from warm files, the best of each. Exit status 1 when a figure is missed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
STARTS = 15
SMALL = 5_000_000  # bytes

MOST = {
    "big, war / cp + sync + sha256sum": 1.0,
    "small / bare Python": 4.0,
    "peak memory, MB": 32.0,
}


def write_war(path: Path, size: int) -> None:
    """As WARs are: mostly libraries, which are archives themselves and hardly shrink any more, and some text."""
    rng = random.Random(1)
    text = "\n".join(f"shop.item.{number}={rng.getrandbits(64):x}" for number in range(20_000)).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("WEB-INF/classes/messages.properties", text)
        library = 0
        while path.stat().st_size < size - len(text):
            piece = min(4_000_000, size - path.stat().st_size)
            archive.writestr(f"WEB-INF/lib/library-{library}.jar", rng.randbytes(piece))
            library += 1


class Bench:
    """Commands, timed in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "webapps"
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
            "WARCOPIER_TARGET": str(self.target),
            "WARCOPIER_LOG_LEVEL": "warning",
        }

    def empty(self) -> None:
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        os.sync()

    def seconds(self, *command: str, **environ: str) -> float:
        started = time.perf_counter()
        subprocess.run(command, env=self.environ | environ, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    def copier(self, source: Path, **environ: str) -> float:
        return self.seconds(sys.executable, "-m", "sidecars.warcopier", WARCOPIER_SOURCE=str(source), **environ)

    def peak(self, source: Path, **environ: str) -> float:
        """The most memory of one run in MB, as the kernel counts it. Not from wait4, which counts our own fork, too."""
        command = [sys.executable, "-m", "sidecars.warcopier"]
        process = subprocess.Popen(command, env=self.environ | {"WARCOPIER_SOURCE": str(source)} | environ)
        most = 0
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))])
            time.sleep(0.002)
        return most * 1024 / 1e6

    def shell(self, script: str, source: Path) -> float:
        return self.seconds("sh", "-c", script, "sh", str(source), str(self.target / source.name))

    def best(self, contenders: dict[str, Callable[[], float]], rounds: int, *, fresh: bool) -> dict[str, float]:
        """The best time of each, taken in turns."""
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                if fresh:
                    self.empty()
                times[name].append(run())
        return {name: min(taken) for name, taken in times.items()}


def big(bench: Bench, size: int) -> dict[str, float]:
    source = bench.folder / "big.war"
    write_war(source, size)
    limits = {"WARCOPIER_MAX_UNPACKED_SIZE": "1TiB"}
    best = bench.best(
        {
            "cp + sync": lambda: bench.shell('cp "$1" "$2" && sync "$2"', source),
            "cp + sync + sha256sum": lambda: bench.shell('cp "$1" "$2" && sync "$2" && sha256sum "$2"', source),
            "warcopier, none": lambda: bench.copier(source, WARCOPIER_VALIDATE="none"),
            "warcopier, war": lambda: bench.copier(source, **limits),
        },
        ROUNDS,
        fresh=True,
    )
    bench.empty()
    peak = bench.peak(source, **limits)
    print(f"one WAR of {source.stat().st_size / 1e6:.0f} MB")
    _print(best, "s", 1)
    return {
        "big, none / cp + sync": best["warcopier, none"] / best["cp + sync"],
        "big, none / cp + sync + sha256sum": best["warcopier, none"] / best["cp + sync + sha256sum"],
        "big, war / cp + sync + sha256sum": best["warcopier, war"] / best["cp + sync + sha256sum"],
        "peak memory, MB": peak,
    }


def small(bench: Bench) -> dict[str, float]:
    source = bench.folder / "small.war"
    write_war(source, SMALL)
    bench.empty()
    bench.copier(source)  # compiles
    bare = {"python -I -c pass": lambda: bench.seconds(sys.executable, "-I", "-c", "pass")}
    chassis = {"chassis alone": lambda: bench.seconds(sys.executable, "-m", "sidecars.warcopier", "--version")}
    first = bench.best(bare | chassis | {"warcopier": lambda: bench.copier(source)}, STARTS, fresh=True)
    first |= bench.best({"warcopier, again": lambda: bench.copier(source)}, STARTS, fresh=False)
    print(f"one WAR of {source.stat().st_size / 1e6:.0f} MB, from start to finish")
    _print(first, "ms", 1000)
    bare_time = first["python -I -c pass"]
    return {
        "small / bare Python": first["warcopier"] / bare_time,
        "small, again / bare Python": first["warcopier, again"] / bare_time,
        "chassis alone / bare Python": first["chassis alone"] / bare_time,
    }


def _print(times: dict[str, float], unit: str, factor: float) -> None:
    for name, seconds in times.items():
        print(f"  {name:28} {seconds * factor:8.2f} {unit}")


def main(megabytes: int = 1000) -> int:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        ratios = small(bench) | big(bench, megabytes * 1_000_000)
    missed = 0
    for name, ratio in ratios.items():
        most = MOST.get(name)
        verdict = "" if most is None else f"  at most {most}: " + ("yes" if ratio <= most else "MISSED")
        missed += verdict.endswith("MISSED")
        print(f"{name:34} {ratio:8.2f}{verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
