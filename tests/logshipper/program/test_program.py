"""The real program, end to end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of, metric, status
from tests.support import Program, free_port, wait_until

PENDING = 'logshipper_pending_bytes{sink="default"}'


def wait_for(receiver: Receiver, *messages: str) -> None:
    wait_until(lambda: receiver.messages() == list(messages), f"{messages} arrive; got {receiver.messages()}")


def test_lines_arrive_as_records_with_the_pod_and_an_id(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    append(tmp_path / "before.log", "")
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, POD_NAME="shop-1", POD_NAMESPACE="prod")
    append(tmp_path / "logs" / "app.log", "first\nsecond\r\n")
    program = start("logshipper", **variables)
    program.wait_ready(port)
    wait_for(receiver, "first", "second")
    first, second = receiver.records()
    generation = first["id"].removesuffix("-0")
    path = str(tmp_path / "logs" / "app.log")
    assert first == {
        "id": f"{generation}-0",
        "file": path,
        "pod": "shop-1",
        "namespace": "prod",
        "message": "first",
    }
    assert second["id"] == f"{generation}-6"
    assert program.stop() == 0


def test_the_ledger_is_in_metrics_and_status(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    program = start("logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url))
    append(tmp_path / "logs" / "app.log", "one\ntwo\nunfin")
    wait_for(receiver, "one", "two")
    wait_until(lambda: metric(port, PENDING) == 5, "only the unfinished line is pending")
    label = '{sink="default"}'
    assert metric(port, f"logshipper_read_bytes_total{label}") == 13
    assert metric(port, f"logshipper_delivered_bytes_total{label}") == 8
    assert metric(port, f"logshipper_delivered_lines_total{label}") == 2
    assert metric(port, f"logshipper_oldest_unacked_seconds{label}") == 0
    assert metric(port, 'logshipper_dropped_lines_total{reason="rejected",sink="default"}') == 0
    page = status(port)["sinks"]["default"]
    assert page["balanced"]
    assert page["files"][0]["position"] == 8
    assert program.stop() == 0


def test_a_sink_that_is_down_loses_nothing_and_delays_no_other(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port, dead = free_port(), free_port()
    variables = environ(
        tmp_path, port, LOGSHIPPER_UP_SINK=receiver.url, LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{dead}/"
    )
    program = start("logshipper", **variables)
    log = tmp_path / "logs" / "app.log"
    append(log, "1\n")
    program.wait_ready(port)
    wait_for(receiver, "1")
    log.unlink()
    append(log, "2\n")
    wait_for(receiver, "1", "2")
    wait_until(lambda: metric(port, 'logshipper_oldest_unacked_seconds{sink="down"}') > 0, "its age is told")
    assert status(port)["sinks"]["down"]["trouble"]
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success, "a sink's outage is not the Pod's"
    late = Receiver(dead)
    try:
        wait_for(late, "1", "2")
        wait_until(lambda: metric(port, 'logshipper_pending_bytes{sink="down"}') == 0, "nothing is pending")
    finally:
        late.close()
    assert program.stop() == 0


def test_what_the_app_wrote_last_is_shipped_when_the_pod_ends(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    variables = environ(
        tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m", LOGSHIPPER_BATCH_TIMEOUT="1m"
    )
    program = start("logshipper", **variables)
    program.wait_ready(port)
    append(tmp_path / "logs" / "app.log", "".join(f"{number}\n" for number in range(100_000)) + "last wor")
    assert program.stop() == 0, program.stderr
    assert lines_of(receiver.records()).total() == 100_001
    assert receiver.records()[-1]["message"] == "last wor"
    assert receiver.records()[-1]["partial"] is True


def test_a_dead_sink_at_the_end_is_69_in_time_and_the_rest_comes_after_a_restart(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_DRAIN_TIMEOUT="1s")
    append(tmp_path / "logs" / "app.log", "1\n")
    program = start("logshipper", **variables)
    wait_for(receiver, "1")
    receiver.mode = "hang"
    append(tmp_path / "logs" / "app.log", "22\n")
    wait_until(lambda: receiver.requests[1:], "the batch is on its way")
    assert program.stop() == 69
    reason = program.logs[-1]["msg"]
    assert reason.startswith("stopped before all was shipped: 3 bytes for LOGSHIPPER_SINK")
    receiver.mode = "ok"
    again = start("logshipper", **variables)
    wait_for(receiver, "1", "22")
    assert again.stop() == 0


def test_a_second_signal_ends_the_drain_at_once_and_says_what_is_left(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    receiver.mode = "hang"
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_REQUEST_TIMEOUT="1m")
    append(tmp_path / "logs" / "app.log", "1\n")
    program = start("logshipper", **variables)
    wait_until(lambda: receiver.requests, "the batch is on its way")
    program.signal(signal.SIGTERM)
    program.wait_logged("draining")
    program.signal(signal.SIGTERM)
    assert program.wait() == 69
    assert "2 bytes for LOGSHIPPER_SINK" in program.logs[-1]["msg"]


def test_a_batch_whose_answer_was_lost_is_repeated_with_the_same_key_after_kill_nine(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    receiver.mode = "lost"
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_RETRY_MIN="1m")
    variables["LOGSHIPPER_RETRY_MAX"] = "1m"
    append(tmp_path / "logs" / "app.log", "1\n2\n")
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) == 1, "the batch arrived")
    program.kill()
    receiver.mode = "ok"
    append(tmp_path / "logs" / "app.log", "3\n")
    start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) == 3, "the repeat and the new line arrive")
    first, repeat, new = receiver.stored
    assert first == repeat
    assert new[0] != first[0]
    assert lines_of(receiver.records()) == {"1": 1, "2": 1, "3": 1}


def test_a_rejected_line_is_counted_and_the_rest_goes_on(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "poison:secret"
    port = free_port()
    program = start("logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url))
    append(tmp_path / "logs" / "app.log", "secret\n")
    program.wait_logged("the sink refuses every line; they are kept")
    append(tmp_path / "logs" / "app.log", "good\n")
    wait_for(receiver, "good")
    program.wait_logged("lines were dropped")
    assert metric(port, 'logshipper_dropped_lines_total{reason="rejected",sink="default"}') == 1
    assert "secret" not in program.stderr, "no payload is ever logged"


def test_a_receiver_with_a_small_limit_gets_smaller_batches(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "limit:1000"
    lines = [f"line {number}" for number in range(200)]
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url)
    append(tmp_path / "logs" / "app.log", "\n".join([*lines, "x" * 2000, "after"]) + "\n")
    program = start("logshipper", **variables)
    wait_for(receiver, *lines, "after")
    assert program.wait_logged("lines were dropped")["reason"] == "it is too large for the receiver, even by itself"


def test_stdout_gets_the_raw_lines(tmp_path: Path, start: Start) -> None:
    program = start("logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK="stdout:"))
    append(tmp_path / "logs" / "app.log", "as it\tis\n")
    wait_until(lambda: program.stdout == "as it\tis\n", "the line is on stdout")
    assert program.stop() == 0


def test_the_file_sink_has_every_line_exactly_once_through_kill_nine(tmp_path: Path, start: Start) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=f"file://{tmp_path}/out", LOGSHIPPER_BATCH_SIZE="4KiB")
    log, out = tmp_path / "logs" / "app.log", tmp_path / "out" / "logshipper.ndjson"
    append(log, "".join(f"{number} {'x' * 200}\n" for number in range(20_000)))
    size = 0
    for _ in range(4):
        program = start("logshipper", **variables)
        wait_until(lambda: out.exists() and out.stat().st_size > size, "it writes")  # noqa: B023 - called at once
        program.kill()
        size = out.stat().st_size
    program = start("logshipper", **variables)
    wait_until(lambda: b"19999 xxx" in out.read_bytes()[-500:], "the last line is there")
    assert program.stop() == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [int(record["message"].split()[0]) for record in records] == list(range(20_000))


def test_kill_nine_repeats_at_most_the_batch_on_its_way(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_BATCH_SIZE="4KiB")
    append(tmp_path / "logs" / "app.log", "".join(f"{number:099}\n" for number in range(20_000)))
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) > 20, "it ships")
    program.kill()
    start("logshipper", **variables)
    wait_until(lambda: f"{19_999:099}".encode() in receiver.stored[-1][1], "the last line arrives")
    assert lines_of(receiver.records()).total() == 20_000
    keys = [key for key, _ in receiver.stored]
    assert len(keys) - len(set(keys)) <= 1


# -- failure on purpose --------------------------------------------------------------------------------------------


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is really full soon."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


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
    tmp_path: Path, start: Start, receiver: Receiver, small_disk: Path
) -> None:
    port = free_port()
    log = tmp_path / "logs" / "app.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_STATE_DIR=str(small_disk))
    program = start("logshipper", **variables)
    program.wait_ready(port)
    fill(small_disk / "ballast")
    written: list[str] = []
    while not program.logged("the state cannot be saved: shipping goes on, and a restart would repeat lines"):
        written.append(f"line {len(written)}")
        append(log, written[-1] + "\n")
        wait_until(lambda: receiver.messages() == written, "lines arrive all the same")
    wait_until(
        lambda: "state" in httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).text, "readiness tells it"
    )
    assert metric(port, "logshipper_state_saved") == 0
    (small_disk / "ballast").unlink()
    program.wait_ready(port)
    program.kill()
    append(log, "after\n")
    start("logshipper", **variables)
    wait_until(lambda: receiver.messages() == [*written, "after"], "nothing was lost, and nothing repeated")


def not_ready(port: int) -> str:
    """What /readyz says against being ready."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    except httpx.TransportError:
        return ""
    return "" if answer.is_success else answer.text


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Callable[[Mapping[str, str]], Program]]:
    """Starts a logshipper as the user that the image has, whom permissions concern."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    programs: list[Program] = []

    def begin(variables: Mapping[str, str]) -> Program:
        programs.append(Program(["-c", AS_NOBODY], variables, tmp_path))
        return programs[-1]

    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65532, 65532)
    yield begin
    for program in programs:
        program.kill()


AS_NOBODY = """
import concurrent.futures.thread, encodings.idna, os, runpy, uvloop
import sidecars.chassis.commandline, sidecars.logshipper.app
import sidecars.logshipper.sinks.http  # Python's home may be root's alone
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
    wait_until(lambda: status(port)["unreadable"] == {str(log): "Permission denied"}, "the file may not be looked at")
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
    # Killed before it heard the yes, it has sent the first line again, under the same id.
    wait_until(lambda: lines_of(receiver.records()) == {"1": 1, "2": 1}, "both lines arrive")
    assert status(port)["unreadable"] == {}
    assert again.stop() == 0


def test_an_end_at_which_nothing_could_be_read_is_no_success(
    tmp_path: Path, receiver: Receiver, as_nobody: Callable[[Mapping[str, str]], Program]
) -> None:
    """As with an app that writes as another user with umask 0027: all would seem well, and nothing is delivered."""
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


def test_a_symlink_whose_file_comes_later_is_followed(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url)
    target, link = tmp_path / "elsewhere", tmp_path / "logs" / "app.log"
    link.symlink_to(target)
    program = start("logshipper", **variables)
    program.wait_ready(port)
    append(target, "1\n")
    wait_for(receiver, "1")
    assert program.stop() == 0
