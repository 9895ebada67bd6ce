"""The real program with Debian's logrotate in each of its modes: no line is lost, and none arrives twice."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of, open_files, status
from tests.support import free_port, wait_until

WAYS = {
    "create": "create",
    "copytruncate": "copytruncate",
    "copytruncate and compress": "copytruncate\ncompress\ndelaycompress",
    "create and compress": "create\ncompress\ndelaycompress",
    "create and compress at once": "create\ncompress",
    "copytruncate and compress at once": "copytruncate\ncompress",
    "dated names": "create\ndateext\ndateformat -%s",
    "another directory": "create\nolddir {folder}/old\ncreateolddir",
}


class Logrotate:
    def __init__(self, folder: Path, way: str) -> None:
        self._folder = folder
        self._by_the_second = "%s" in way
        self._rotated = 0
        self._config = folder / "logrotate.conf"
        lines = way.format(folder=folder)
        self._config.write_text(f"{folder}/logs/app.log {{\nrotate 3\nmissingok\n{lines}\n}}\n")
        self._config.chmod(0o644)
        (folder / "logs").chmod(0o755)  # logrotate refuses a directory that others may write to

    def rotate(self) -> None:
        if self._by_the_second:
            wait_until(
                lambda: time.time() > self._rotated + 1.1, "a new second, for a new name; its clock is a coarse one"
            )
        command = ["logrotate", "--force", "--state", str(self._folder / "logrotate.state"), str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._rotated = int(time.time())


@pytest.mark.parametrize(
    ("way", "pattern"),
    [*((way, "app.log*") for way in WAYS), ("create", "app.log"), ("copytruncate", "app.log")],
)
def test_logrotate_costs_no_line(tmp_path: Path, start: Start, receiver: Receiver, way: str, pattern: str) -> None:
    port, log = free_port(), tmp_path / "logs" / "app.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_PATHS=f"{tmp_path}/logs/{pattern}")
    variables["LOGSHIPPER_COMPRESSED"] = "auto" if "compress" in way else "ignore"
    rotation = Logrotate(tmp_path, WAYS[way])
    program = start("logshipper", **variables)
    written: list[str] = []
    numbers = itertools.count()

    def write(count: int) -> None:
        lines = [f"line {number}" for number in itertools.islice(numbers, count)]
        written.extend(lines)
        append(log, "".join(f"{line}\n" for line in lines))

    def seen() -> bool:
        """The file is held open and read where it is now; no two files have the same size."""
        held = log in open_files(program.process.pid).values()
        files = status(port)["sinks"]["default"]["files"]
        return held and any(item["path"] == str(log) and item["size"] == log.stat().st_size for item in files)

    program.wait_ready(port)
    for turn in range(4):
        write(100 + 20 * turn)
        wait_until(seen, "it has seen the file: what is gone before that nobody can ship")
        receiver.mode = "503" if receiver.mode == "ok" else "ok"  # the shipper lags behind at every other rotation
        write(10)
        rotation.rotate()
    receiver.mode = "ok"
    write(1)
    wait_until(lambda: lines_of(receiver.records()).keys() >= set(written), "every line arrives")
    assert lines_of(receiver.records()) == dict.fromkeys(written, 1)
    assert program.stop() == 0
