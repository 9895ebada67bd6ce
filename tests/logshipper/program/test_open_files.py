"""The real program with fewer descriptors than log files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.logshipper.file_turnover import turn_over
from tests.logshipper.support import Receiver, append, environ, lines_of, metric, status
from tests.support import Program, free_port, wait_until

MANY = "there are more log files than may be open; they are read in turns: raise the limit of open files"


def limited(variables: dict[str, str], folder: Path, most: int) -> Program:
    """Start a logshipper with a limit of `most` descriptors."""
    code = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most})); "
        "runpy.run_module('sidecars.logshipper', run_name='__main__', alter_sys=True)"
    )
    return Program(["-c", code], variables, folder)


def arrive(receiver: Receiver, lines: int) -> None:
    """Wait until so many lines have arrived."""
    wait_until(lambda: len(receiver.messages()) >= lines, "every line arrives")


@pytest.mark.parametrize("most", [60, 100])
def test_two_hundred_files_are_shipped_with_fewer_descriptors(tmp_path: Path, receiver: Receiver, most: int) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url)
    logs = [tmp_path / "logs" / f"{number}.log" for number in range(200)]
    for log in logs:
        append(log, "".join(f"{log.name} {number}\n" for number in range(20)))
    program = limited(variables, tmp_path, most)
    try:
        program.wait_ready(port)
        wait_until(lambda: len(receiver.messages()) >= 4000, "every line arrives")
        for log in logs:
            append(log, f"{log.name} 20\n")
        wait_until(lambda: len(receiver.messages()) >= 4200, "the next lines, too")
        page = status(port)
        assert page["open_files"]["open"] <= page["open_files"]["most"] < most
        assert page["open_files"]["idle"] + page["open_files"]["waiting"] == 200 - page["open_files"]["open"]
        assert page["sinks"]["default"]["balanced"]
        sink = page["sinks"]["default"]
        assert (sink["files_followed"], len(sink["files"]), sink["files_left_out"]) == (200, 50, 150)
        assert metric(port, 'logshipper_files{state="idle"}') >= page["open_files"]["idle"]
        assert program.logged(MANY)
        assert program.stop() == 0
    finally:
        program.kill()
    assert lines_of(receiver.records()) == Counter(f"{log.name} {number}" for log in logs for number in range(21))
    assert len(receiver.records()) == 4200, "and none twice"


def test_closed_files_that_are_rotated_replaced_and_written_give_each_line_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_CLOSE_INACTIVE="1s")
    variables["LOGSHIPPER_REQUEST_TIMEOUT"] = "60s"
    logs = [tmp_path / "logs" / f"{number}.log" for number in range(150)]
    written = [f"{log.name} first" for log in logs]
    for log, line in zip(logs, written, strict=True):
        append(log, f"{line}\n")
    program = limited(variables, tmp_path, 60)
    try:
        program.wait_ready(port)
        for number in range(3):
            arrive(receiver, len(written))
            wait_until(lambda: status(port)["open_files"]["idle"] >= len(logs), "and the files are closed")
            written += turn_over(logs[number * 10 : number * 10 + 90], number)
        arrive(receiver, len(written))
        assert status(port)["sinks"]["default"]["balanced"]
        assert program.stop() == 0
    finally:
        program.kill()
    assert lines_of(receiver.records()) == Counter(written)
    assert len(receiver.records()) == len(written), "and none twice"


def test_a_sink_that_comes_late_gets_what_lies_in_more_files_than_may_be_open(tmp_path: Path) -> None:
    admin, port = free_port(), free_port()
    up = Receiver()
    variables = environ(
        tmp_path, admin, LOGSHIPPER_UP_SINK=up.url, LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{port}/logs"
    )
    for number in range(150):
        append(tmp_path / "logs" / f"{number}.log", f"{number}\n" * 3)
    program = limited(variables, tmp_path, 64)
    late: list[Receiver] = []
    try:
        wait_until(lambda: len(up.messages()) == 450, "the living sink has every line, though no file is settled")
        late.append(Receiver(port))
        wait_until(lambda: len(late[0].messages()) == 450, "so has the other one")
        assert program.stop() == 0
    finally:
        program.kill()
        for receiver in (up, *late):
            receiver.close()
