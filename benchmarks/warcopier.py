"""The copier beside the tools that people use today: `python -m benchmarks.warcopier [megabytes]`.

- One big WAR beside `cp` + `sync`: without a digest (`WARCOPIER_DIGEST=false`, `WARCOPIER_VALIDATE=none`), which is a
  plain and safe copy. The same WAR beside `cp` + `sync` + `sha256sum`: with the defaults, which are the checksum of
  every entry and the digests of source and copy.
- 10,000 files of 5 KB: a WAR of as many entries, unpacked, beside `cp -r` of the same tree and, without a limit, beside
  `unzip`. As many WARs, each of which is opened, verified, digested and read back, beside `cp -r` of them.
- A WAR of 5 MB, from start to finish, beside a Python that does nothing. The code is byte-compiled before, as in the
  image.
- The peak memory of runs: with the big WAR, with a file of 10 GB, with 10,000 files both ways.

All contenders take turns in one run, with warm files; the best time of each counts. Every run has a directory of its
own. The directories with many files are only removed at the end. ext4 does not use the inode of a file again that was
removed in the last minutes, and is very slow at finding another one if there are thousands of them. A fresh volume has
none.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Comparison, Figure, conclude
from benchmarks.starts import compile_code

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, STARTS = 5, 25
SMALL = 5_000_000  # bytes
MANY = 10_000  # files of EACH bytes
EACH = 5_000  # bytes
HUGE = 10_000_000_000  # bytes, of a file that is a hole: it takes no space in the source
ANY_SIZE = {"WARCOPIER_MAX_UNPACKED_SIZE": "1TiB"}
PLAIN = {"WARCOPIER_VALIDATE": "none", "WARCOPIER_DIGEST": "false"}
UNPACK = {"WARCOPIER_UNPACK": "true"}


def write_war(path: Path, size: int) -> None:
    """Write a WAR of typical content: mostly libraries, which are compressed archives themselves, and some text."""
    rng = random.Random(1)
    text = "\n".join(f"shop.item.{number}={rng.getrandbits(64):x}" for number in range(20_000)).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("WEB-INF/classes/messages.properties", text)
        library = 0
        while path.stat().st_size < size - len(text):
            piece = min(4_000_000, size - path.stat().st_size)
            archive.writestr(f"WEB-INF/lib/library-{library}.jar", rng.randbytes(piece))
            library += 1


def write_many(folder: Path) -> tuple[Path, Path, Path]:
    """Write a tree of many small files, a WAR of the same files, and a folder with as many WARs."""
    rng = random.Random(2)
    tree, war, wars = folder / "tree", folder / "many" / "app.war", folder / "wars"
    war.parent.mkdir()
    wars.mkdir()
    with zipfile.ZipFile(war, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(MANY):
            name = f"WEB-INF/classes/{number % 100}/{number}.class"
            data = rng.randbytes(EACH // 2) + (f"some text {number} " * EACH)[: EACH // 2].encode()
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(data)
            archive.writestr(name, data)
            with zipfile.ZipFile(wars / f"app{number}.war", "w") as small:
                small.writestr("WEB-INF/web.xml", "<web-app/>")
                small.writestr("index.html", rng.randbytes(EACH - 300))
    return tree, war, wars


class Time(NamedTuple):
    """Seconds of one run: wall time and CPU time."""

    wall: float
    cpu: float


class Bench:
    """Runs commands and times them, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets = 0
        self.keep = False  # keep the present directory when the next run begins
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "WARCOPIER_LOG_LEVEL": "warning",
        }

    @property
    def target(self) -> Path:
        """Return the directory of the present run."""
        return self.folder / f"webapps{self.targets}"

    def begin(self) -> None:
        """Make a new directory, and remove the one before unless `keep` is set."""
        if not self.keep:
            shutil.rmtree(self.target, ignore_errors=True)
        self.targets += 1
        self.target.mkdir()
        self.environ["WARCOPIER_TARGET"] = str(self.target)
        os.sync()

    def seconds(self, *command: str, **environ: str) -> Time:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=self.environ | environ, stdout=subprocess.DEVNULL, check=True)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Time(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def copier(self, source: Path, **environ: str) -> Time:
        return self.seconds(sys.executable, "-m", "sidecars.warcopier", WARCOPIER_SOURCE=str(source), **environ)

    def peak(self, source: Path, **environ: str) -> float:
        """Return the peak memory of one run in MB: of the process, or of it together with its child.

        The kernel counts the process. Shared memory counts once. wait4 would also count the fork of this process.
        """
        self.begin()
        command = [sys.executable, "-m", "sidecars.warcopier"]
        process = subprocess.Popen(command, env=self.environ | {"WARCOPIER_SOURCE": str(source)} | environ)
        most = 0
        while process.poll() is None:
            family = [process.pid, *map(int, read(f"/proc/{process.pid}/task/{process.pid}/children").split())]
            together = sum(kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in family)
            most = max(most, kilobytes(f"/proc/{process.pid}/status", "VmHWM:"), together)
            time.sleep(0.002)
        if process.returncode:
            raise RuntimeError(f"the copier ended with {process.returncode}")
        return most * 1024 / 1e6

    def shell(self, script: str, source: Path) -> Time:
        return self.seconds("sh", "-c", script, "sh", str(source), str(self.target / source.name))

    def best(self, contenders: dict[str, Callable[[], Time]], rounds: int) -> dict[str, Time]:
        """Run all contenders in turns. Return the best times of each."""
        times: dict[str, list[Time]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                self.begin()
                times[name].append(run())
        return {
            name: Time(min(one.wall for one in taken), min(one.cpu for one in taken)) for name, taken in times.items()
        }


def read(place: str) -> str:
    """Return the text of a file in /proc; "" if its process has ended."""
    try:
        return Path(place).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kilobytes(place: str, name: str) -> int:
    return sum(int(line.split()[1]) for line in read(place).splitlines() if line.startswith(name))


Found = tuple[list[Figure], Comparison]


def beside(name: str, ours: Time, peer: str, theirs: Time, limit: float) -> Figure:
    """Return the ratio of two wall times. The ratio of CPU times shows the share of a busy machine or disk."""
    return Figure(name, ours.wall / theirs.wall, limit, note=f"{peer}; in CPU seconds {ours.cpu / theirs.cpu:.2f} x")


def big(bench: Bench, size: int) -> Found:
    source = bench.folder / "big.war"
    write_war(source, size)
    bench.begin()  # the last run with many files is kept until here
    bench.keep = False
    found = bench.best(
        {
            "cp + sync": lambda: bench.shell('cp "$1" "$2" && sync "$2"', source),
            "cp + sha256sum": lambda: bench.shell('cp "$1" "$2" && sha256sum "$2"', source),
            "cp + sync + sha256sum": lambda: bench.shell('cp "$1" "$2" && sync "$2" && sha256sum "$2"', source),
            "warcopier, plain": lambda: bench.copier(source, **PLAIN),
            "warcopier, digest": lambda: bench.copier(source, WARCOPIER_VALIDATE="none"),
            "warcopier, all checks": lambda: bench.copier(source, **ANY_SIZE),
        },
        ROUNDS,
    )
    megabytes = f"{size / 1e6:.0f} MB"
    synced = found["cp + sync + sha256sum"]
    figures = [
        beside(f"{megabytes} without digest", found["warcopier, plain"], "cp + sync", found["cp + sync"], 1.1),
        beside(f"{megabytes} with digest", found["warcopier, digest"], "cp + sync + sha256sum", synced, 1.0),
        beside(f"{megabytes} with every check", found["warcopier, all checks"], "the same", synced, 1.0),
        Figure(f"memory, {megabytes}", bench.peak(source, **ANY_SIZE), 32.0, "MB"),
    ]
    source.unlink()
    unsynced = found["warcopier, digest"].wall / found["cp + sha256sum"].wall
    print(f"with digest, beside cp + sha256sum that does not sync: {unsynced:.2f} x")
    return figures, Comparison(f"one WAR of {megabytes}", "s", {name: time.wall for name, time in found.items()})


def many(bench: Bench) -> Found:
    tree, war, wars = write_many(bench.folder)
    bench.keep = True
    contenders = {
        "cp -r, tree": lambda: bench.shell('cp -r "$1" "$2"', tree),
        "warcopier, unpacked": lambda: bench.copier(war, **UNPACK),
        "cp -r, WARs": lambda: bench.shell('cp -r "$1" "$2"', wars),
        "warcopier, WARs": lambda: bench.copier(wars),
        "warcopier, WARs, plain": lambda: bench.copier(wars, **PLAIN),
    }
    if shutil.which("unzip"):
        contenders["unzip"] = lambda: bench.shell('unzip -q "$1" -d "$2"', war)
    found = bench.best(contenders, ROUNDS)
    wars_ratio = found["warcopier, WARs"].wall / found["cp -r, WARs"].wall
    print(f"10,000 WARs, each checked, beside cp -r: {wars_ratio:.1f} x (no promise)")
    figures = [
        beside("10,000 files of 5 KB", found["warcopier, unpacked"], "cp -r", found["cp -r, tree"], 1.5),
        Figure("memory, 10,000 entries", bench.peak(war, **UNPACK), 32.0, "MB"),
        Figure("memory, 10,000 WARs", bench.peak(wars), 32.0, "MB"),
    ]
    return figures, Comparison("10,000 files of 5 KB", "s", {name: time.wall for name, time in found.items()})


def small(bench: Bench) -> Found:
    source = bench.folder / "small.war"
    write_war(source, SMALL)
    bench.begin()
    bench.copier(source)
    found = bench.best(
        {
            "python -I -c pass": lambda: bench.seconds(sys.executable, "-I", "-c", "pass"),
            "warcopier": lambda: bench.copier(source),
        },
        STARTS,
    )
    milliseconds = {name: time.wall * 1000 for name, time in found.items()}
    bare = found["python -I -c pass"]
    figures = [beside("5 MB, start to finish", found["warcopier"], "python -I -c pass", bare, 4.0)]
    return figures, Comparison("one WAR of 5 MB, start to finish", "ms", milliseconds)


def huge(bench: Bench) -> list[Figure]:
    source = bench.folder / "huge.war"
    source.touch()
    os.truncate(source, HUGE)
    return [Figure("memory, 10 GB", bench.peak(source, WARCOPIER_VALIDATE="none"), 32.0, "MB")]


def main(megabytes: int = 1000) -> int:
    compile_code(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        parts = [small(bench), many(bench), big(bench, megabytes * 1_000_000)]
        figures = [figure for found, _ in parts for figure in found] + huge(bench)
        bench.begin()
    for _, comparison in parts:
        print(f"{comparison.name}:")
        for name, value in comparison.values.items():
            print(f"  {name:28} {value:8.2f} {comparison.unit}")
    return conclude("warcopier", figures, [comparison for _, comparison in parts])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
