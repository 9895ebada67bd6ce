"""The real program with fewer descriptors than log files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

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
        assert page["open_files"]["closed"] == 200 - page["open_files"]["open"]
        assert page["sinks"]["default"]["balanced"]
        sink = page["sinks"]["default"]
        assert (sink["files_followed"], len(sink["files"]), sink["files_left_out"]) == (200, 50, 150)
        assert metric(port, 'logshipper_files{state="closed"}') == page["open_files"]["closed"]
        assert program.logged(MANY)
        assert program.stop() == 0
    finally:
        program.kill()
    assert lines_of(receiver.records()) == Counter(f"{log.name} {number}" for log in logs for number in range(21))
    assert len(receiver.records()) == 4200, "and none twice"


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
