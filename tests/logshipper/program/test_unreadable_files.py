"""The real program as a user without the right to read the log files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.logshipper.support import Receiver, append, environ, lines_of, metric, not_ready, status, wait_for
from tests.support import Program, free_port, wait_until


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Callable[[Mapping[str, str]], Program]]:
    """A function that starts a logshipper as the user of the image, who is not root."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    programs: list[Program] = []

    def begin(variables: Mapping[str, str]) -> Program:
        programs.append(Program(["-c", AS_NOBODY], variables, tmp_path))
        return programs[-1]

    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65532, 65532)
    yield begin
    for program in programs:
        program.kill()


AS_NOBODY = """
import concurrent.futures.thread, encodings.ascii, encodings.idna, os, runpy, uvloop
import sidecars.chassis.commandline, sidecars.chassis.metrics, sidecars.logshipper.app, sidecars.logshipper.metrics
import sidecars.logshipper.sinks.over_http.http  # Python's directory may be readable for root alone
os.setgroups([]); os.setgid(65532); os.setuid(65532)
runpy.run_module("sidecars.logshipper", run_name="__main__", alter_sys=True)
"""


def test_what_may_not_be_read_is_told_and_read_as_soon_as_it_may(
    tmp_path: Path, receiver: Receiver, as_nobody: Callable[[Mapping[str, str]], Program]
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url)
    folder, log = tmp_path / "logs", tmp_path / "logs" / "app.log"
    append(log, "1\n")
    log.chmod(0o600)
    folder.chmod(0o700)
    program = as_nobody(variables)
    wait_until(lambda: f"{folder} has mode 0700" in not_ready(port), "readiness tells of the directory")
    assert status(port)["unreadable"] == {str(folder): "Permission denied"}
    folder.chmod(0o744)
    wait_until(lambda: f"{folder} has mode 0744" in not_ready(port), "no file in it may be looked at")
    folder.chmod(0o755)
    assert receiver.requests == []
    wait_until(lambda: f"{log} has mode 0600, owner 0 and group 0" in not_ready(port), "readiness tells of the file")
    log.chmod(0o644)
    wait_for(receiver, "1")
    program.wait_ready(port)
    log.chmod(0o600)
    program.kill()
    append(log, "2\n")
    again = as_nobody(variables)
    wait_until(lambda: str(log) in not_ready(port), "a file that was followed before counts, too")
    assert status(port)["unreadable"] == {str(log): "Permission denied"}
    log.chmod(0o644)
    # It was killed before it read the response, and has sent the first line again, under the same id.
    wait_until(lambda: lines_of(receiver.records()) == {"1": 1, "2": 1}, "both lines arrive")
    assert status(port)["unreadable"] == {}
    assert again.stop() == 0


def test_an_end_at_which_nothing_could_be_read_is_no_success(
    tmp_path: Path, receiver: Receiver, as_nobody: Callable[[Mapping[str, str]], Program]
) -> None:
    """The app writes as another user with umask 0027: without the exit code all would seem well."""
    port = free_port()
    log, other = tmp_path / "logs" / "app.log", tmp_path / "logs" / "other.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url)
    append(log, "1\n")
    os.chown(log, 1000, 1000)
    log.chmod(0o640)
    program = as_nobody(variables)
    wait_until(lambda: "supplementalGroups: [1000]" in not_ready(port), "readiness names the cure")
    assert program.stop() == 74
    assert "LOGSHIPPER_PATHS" in program.logs[-1]["msg"]
    assert f"{log} has mode 0640, owner 1000 and group 1000" in program.logs[-1]["msg"]
    append(other, "2\n")
    again = as_nobody(variables)
    wait_for(receiver, "2")
    again.wait_ready(port)
    assert status(port)["unreadable"] == {str(log): "Permission denied"}
    assert metric(port, 'logshipper_files{state="unreadable"}') == 1
    assert again.stop() == 0


def test_an_input_that_cannot_be_read_is_told_beside_one_that_can(
    tmp_path: Path, receiver: Receiver, as_nobody: Callable[[Mapping[str, str]], Program]
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url)
    del variables["LOGSHIPPER_PATHS"]
    for name in ("app", "access"):
        append(tmp_path / "logs" / f"{name}.log", f"{name}\n")
        variables[f"LOGSHIPPER_{name.upper()}_PATHS"] = f"{tmp_path}/logs/{name}.log"
    (tmp_path / "logs" / "app.log").chmod(0o600)
    program = as_nobody(variables)
    wait_until(lambda: "nothing that LOGSHIPPER_APP_PATHS asks for can be read" in not_ready(port), "it is told")
    wait_for(receiver, "access")
    assert list(status(port)["unreadable_inputs"]) == ["app"]
    (tmp_path / "logs" / "app.log").chmod(0o644)
    program.wait_ready(port)
    assert program.stop() == 0
