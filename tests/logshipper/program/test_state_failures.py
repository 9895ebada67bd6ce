"""The real program with bad settings, or with a state directory that is torn, full or not writable."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, metric
from tests.support import free_port, get, wait_until


def test_bad_settings_are_told_all_at_once_before_anything_is_touched(tmp_path: Path, start: Start) -> None:
    program = start(
        "logshipper",
        LOGSHIPPER_PATHS="relative",
        LOGSHIPPER_SINK="gopher://x",
        LOGSHIPPER_STATE_DIR=f"{tmp_path}/state",
    )
    assert program.wait() == 78
    assert "LOGSHIPPER_PATHS" in program.stderr
    assert "LOGSHIPPER_SINK" in program.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("content", "part"), [("{", "torn"), ('{"version":9,"journal":1,"checksum":"0"}\n{}\n', "version 9")]
)
def test_a_state_file_that_cannot_be_relied_on_is_74_and_nothing_is_shipped(
    tmp_path: Path, start: Start, receiver: Receiver, content: str, part: str
) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "positions.json").write_text(content)
    append(tmp_path / "logs" / "app.log", "1\n")
    program = start("logshipper", **variables)
    assert program.wait() == 74
    assert part in program.logs[-1]["msg"]
    assert (tmp_path / "state" / "positions.json").read_text() == content
    assert receiver.requests == []


def test_a_state_directory_that_cannot_be_written_is_74(tmp_path: Path, start: Start) -> None:
    (tmp_path / "file").write_text("")
    program = start(
        "logshipper",
        **environ(tmp_path, free_port(), LOGSHIPPER_SINK="stdout:", LOGSHIPPER_STATE_DIR=f"{tmp_path}/file"),
    )
    assert program.wait() == 74
    assert "LOGSHIPPER_STATE_DIR" in program.logs[-1]["msg"]


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as ballast:
        while True:
            try:
                ballast.write(b"x" * 512)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return
                raise


def test_a_full_disk_under_the_state_is_told_and_keeps_no_line_from_its_sink(
    tmp_path: Path, start: Start, receiver: Receiver, small_volume: Path
) -> None:
    port = free_port()
    log = tmp_path / "logs" / "app.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_STATE_DIR=str(small_volume))
    program = start("logshipper", **variables)
    program.wait_ready(port)
    fill(small_volume / "ballast")
    written: list[str] = []
    while not program.logged("the state cannot be saved: shipping goes on, and a restart would repeat lines"):
        written.append(f"line {len(written)}")
        append(log, written[-1] + "\n")
        wait_until(lambda: receiver.messages() == written, "lines arrive all the same")
    wait_until(lambda: "state" in get(f"http://127.0.0.1:{port}/readyz").text, "readiness tells it")
    assert metric(port, "logshipper_state_saved") == 0
    (small_volume / "ballast").unlink()
    program.wait_ready(port)
    program.kill()
    append(log, "after\n")
    start("logshipper", **variables)
    wait_until(lambda: receiver.messages() == [*written, "after"], "nothing was lost, and nothing repeated")
