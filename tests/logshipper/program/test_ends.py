"""The end of the process: SIGTERM with living, slow and dead sinks, and the ends of Jobs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of, wait_for
from tests.support import free_port, wait_until


@pytest.mark.parametrize("fault", ["refused", "503", "hang"])
def test_a_dead_sink_does_not_hold_up_the_end_and_nothing_is_lost(tmp_path: Path, start: Start, fault: str) -> None:
    """The sink is given up long before the deadline of the drain, which is ten minutes."""
    port = free_port()
    variables = environ(
        tmp_path,
        free_port(),
        LOGSHIPPER_SINK=f"http://127.0.0.1:{port}/",
        LOGSHIPPER_DRAIN_TIMEOUT="10m",
        LOGSHIPPER_REQUEST_TIMEOUT="10m",
        LOGSHIPPER_RETRY_MAX="1h",
    )
    receiver = Receiver(port)
    receiver.mode = fault
    if fault == "refused":
        receiver.close()
    append(tmp_path / "logs" / "app.log", "1\n2\n")
    program = start("logshipper", **variables)
    if fault == "hang":
        wait_until(lambda: receiver.requests, "the batch is on its way")
    else:
        program.wait_logged("delivery failed; it is retried")
    assert program.stop() == 69
    assert "4 bytes for LOGSHIPPER_SINK" in program.logs[-1]["msg"]
    if fault != "refused":
        receiver.close()
    receiver = Receiver(port)
    again = start("logshipper", **variables)
    wait_for(receiver, "1", "2")
    assert again.stop() == 0
    receiver.close()


def test_a_sink_that_is_slow_and_not_dead_gets_all(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(
        tmp_path,
        free_port(),
        LOGSHIPPER_SINK=receiver.url,
        LOGSHIPPER_BATCH_SIZE="4KiB",
        LOGSHIPPER_GIVE_UP_AFTER="500ms",
        LOGSHIPPER_REQUEST_TIMEOUT="1m",
    )
    receiver.delay = 2.0  # twice as long is waited for: a busy machine may take the same again
    written = [f"{number} {'x' * 1000}" for number in range(8)]
    program = start("logshipper", **variables)
    append(tmp_path / "logs" / "app.log", written[0] + "\n")
    wait_until(lambda: len(receiver.stored) == 1, "it has seen how slow the sink is")
    append(tmp_path / "logs" / "app.log", "\n".join(written[1:]) + "\n")
    assert program.stop() == 0, program.stderr
    assert receiver.messages() == written


def test_a_plain_container_reads_on_until_the_app_has_said_its_last_words(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    """The app and logshipper get SIGTERM at the same time."""
    log = tmp_path / "logs" / "app.log"
    program = start(
        "logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_DRAIN_QUIET="2s")
    )
    append(log, "0\n")
    wait_for(receiver, "0")
    program.signal(signal.SIGTERM)
    for number in range(1, 5):
        append(log, f"{number}\n")
        wait_until(lambda: str(number) in receiver.messages(), f"{number} is shipped")  # noqa: B023 - called at once
    assert program.wait() == 0
    assert receiver.messages() == ["0", "1", "2", "3", "4"]


def test_a_job_ends_when_the_done_file_appears_and_everything_is_shipped(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    receiver.mode = "503"
    done = tmp_path / "logs" / "done"
    program = start(
        "logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_DONE_FILE=str(done))
    )
    append(tmp_path / "logs" / "app.log", "1\n2\nlast wor")
    done.touch()
    program.wait_logged("the done-file is there: shipping what is left")
    program.wait_logged("delivery failed; it is retried")
    assert program.process.poll() is None, "a sink that is down is waited for: nobody told us to stop"
    receiver.mode = "ok"
    assert program.wait() == 0
    assert lines_of(receiver.records()) == {"1": 1, "2": 1, "last wor": 1}


def test_a_job_ends_when_nothing_more_is_written(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_EXIT_WHEN_IDLE="500ms")
    program = start("logshipper", **variables)
    with pytest.raises(Exception, match="timed out"):
        program.wait(1.5)  # EXIT_WHEN_IDLE counts from the first line on
    append(tmp_path / "logs" / "app.log", "1\nunfinished")
    assert program.wait() == 0
    assert lines_of(receiver.records()) == {"1": 1, "unfinished": 1}


def test_two_sinks_of_which_one_is_dead_end_together_and_the_living_one_has_all(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    variables = environ(
        tmp_path,
        free_port(),
        LOGSHIPPER_UP_SINK=receiver.url,
        LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{free_port()}/",
        LOGSHIPPER_DRAIN_TIMEOUT="10m",
        LOGSHIPPER_BATCH_TIMEOUT="1m",
    )
    program = start("logshipper", **variables)
    program.wait_logged("admin endpoints answer")
    append(tmp_path / "logs" / "app.log", "1\n")
    assert program.stop() == 69
    assert "2 bytes for LOGSHIPPER_DOWN_SINK" in program.logs[-1]["msg"]
    assert receiver.messages() == ["1"]


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
