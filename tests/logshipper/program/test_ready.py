"""Readiness: once the process is ready, inotify notices each written line, before the next scan."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ
from tests.support import Program, free_port, wait_until


def followed(program: Program, count: int) -> bool:
    return program.stderr.count("following a file") >= count


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.log", "app.log"),
        ("app/*.log", "app/app.log"),
        ("app/deep/*.log", "app/deep/app.log"),
        ("*/*.log", "app/app.log"),
        ("**/*.log", "app/deep/app.log"),
        ("*/deep/app.log", "app/deep/app.log"),
    ],
)
def test_a_file_that_comes_after_ready_is_seen_at_once_also_in_a_directory_that_comes_with_it(
    tmp_path: Path, start: Start, receiver: Receiver, pattern: str, path: str
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m")
    variables["LOGSHIPPER_PATHS"] = f"{tmp_path}/logs/{pattern}"
    program = start("logshipper", **variables)
    program.wait_ready(port)
    log = tmp_path / "logs" / path
    log.parent.mkdir(parents=True, exist_ok=True)
    append(log, "1\n")
    wait_until(lambda: receiver.messages() == ["1"], "the line arrives before the next scan")
    log.rename(log.with_suffix(".old"))
    append(log, "2\n")
    wait_until(lambda: receiver.messages() == ["1", "2"], "so does that of the next file")
    assert program.stop() == 0


def test_lines_that_are_written_and_rotated_away_from_the_first_moment_of_being_ready_on_are_all_shipped(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    """Each file is rotated away as soon as it was seen: the test waits for nothing else."""
    port = free_port()
    program = start(
        "logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m")
    )
    program.wait_ready(port)
    log = tmp_path / "logs" / "app.log"
    for number in range(20):
        append(log, f"{number}\n")
        wait_until(partial(followed, program, number + 1), "it is held")
        log.unlink()
    assert program.stop() == 0
    assert sorted(receiver.messages(), key=int) == [str(number) for number in range(20)]


def test_only_a_glob_that_matches_no_file_at_the_start_is_told_with_its_setting(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_COMPRESSED="auto")
    del variables["LOGSHIPPER_PATHS"]
    for name, pattern in (("APP", "app*"), ("OTHER", "other*"), ("SAME", "*.log")):
        variables[f"LOGSHIPPER_{name}_PATHS"] = f"{tmp_path}/logs/{pattern}"
    append(tmp_path / "logs" / "app.log", "1\n")
    (tmp_path / "logs" / "app.log.1.gz").write_bytes(gzip.compress(b"0\n"))  # it is not inspected at the first scan
    program = start("logshipper", **variables)
    program.wait_ready(port)
    assert program.stop() == 0
    told = [line for line in program.stderr.splitlines() if "no file matches yet" in line]
    assert len(told) == 1
    assert f"LOGSHIPPER_OTHER_PATHS={tmp_path}/logs/other*" in told[0]
