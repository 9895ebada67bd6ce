"""The real program with thousands of files, and with links to directories that form a circle."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Start
from tests.logshipper.alike_files import HEADERS, fill
from tests.logshipper.support import Receiver, append, environ, lines_of
from tests.support import free_port, wait_until


def test_thousands_of_files_arrive_whole(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    fill(tmp_path / "logs", 3000, HEADERS["64 bytes"], b"N\n")
    program = start("logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url))
    wait_until(lambda: len(receiver.stored) > 0, "the first lines arrive")
    assert program.stop() == 0
    lines = lines_of(receiver.records())
    assert all(lines[str(number)] == 1 for number in range(3000))


def test_links_in_a_circle_keep_nobody_waiting(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url)
    variables["LOGSHIPPER_PATHS"] = f"{tmp_path}/logs/**/*.log"
    for name in ("x", "y"):
        (tmp_path / "logs" / name).symlink_to(".")
    append(tmp_path / "logs" / "app.log", "1\n")
    program = start("logshipper", **variables)
    wait_until(lambda: receiver.messages() == ["1"], "the line arrives")
    assert receiver.records()[0]["file"] == str(tmp_path / "logs" / "app.log")
    assert program.stop() == 0
