"""How it ends: with the Pod, with a sink that is dead, and by itself in a Job. The real program."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of
from tests.support import free_port, wait_until


def wait_for(receiver: Receiver, *messages: str) -> None:
    wait_until(lambda: receiver.messages() == list(messages), f"{messages} arrive; got {receiver.messages()}")


@pytest.mark.parametrize("fault", ["refused", "503", "hang"])
def test_a_dead_sink_does_not_hold_up_the_end_and_nothing_is_lost(tmp_path: Path, start: Start, fault: str) -> None:
    """Given up long before the drain's deadline, which would be ten minutes."""
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
        program.wait_logged("delivery failed; it is tried again")
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
        LOGSHIPPER_GIVE_UP_AFTER="100ms",
        LOGSHIPPER_REQUEST_TIMEOUT="1m",
    )
    receiver.delay = 0.2
    written = [f"{number} {'x' * 1000}" for number in range(40)]
    program = start("logshipper", **variables)
    append(tmp_path / "logs" / "app.log", written[0] + "\n")
    wait_until(lambda: len(receiver.stored) == 1, "it has seen how slow the sink is")
    append(tmp_path / "logs" / "app.log", "\n".join(written[1:]) + "\n")
    assert program.stop() == 0, program.stderr
    assert receiver.messages() == written


def test_a_plain_container_reads_on_until_the_app_has_said_its_last_words(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    """Both are told to stop at the same time."""
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
    program.wait_logged("delivery failed; it is tried again")
    assert program.process.poll() is None, "a sink that is down is waited for: nobody told us to stop"
    receiver.mode = "ok"
    assert program.wait() == 0
    assert lines_of(receiver.records()) == {"1": 1, "2": 1, "last wor": 1}


def test_a_job_ends_when_nothing_more_is_written(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_EXIT_WHEN_IDLE="500ms")
    program = start("logshipper", **variables)
    with pytest.raises(Exception, match="timed out"):
        program.wait(1.5)  # before the app has begun nothing is over
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


# -- the kernel's word -------------------------------------------------------------------------------------------------


def test_new_lines_new_files_and_rotations_are_noticed_long_before_the_next_scan(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    log = tmp_path / "logs" / "app.log"
    program = start(
        "logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m")
    )
    program.wait_ready(port)
    append(log, "a new file\n")
    wait_for(receiver, "a new file")
    append(log, "a new line\n")
    wait_for(receiver, "a new file", "a new line")
    log.rename(log.with_name("app.log.1"))
    append(log, "after the rotation\n")
    wait_for(receiver, "a new file", "a new line", "after the rotation")
    assert program.stop() == 0


def test_what_is_written_behind_a_symlink_is_noticed_as_soon(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    (tmp_path / "elsewhere").mkdir()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m")
    target = tmp_path / "elsewhere" / "real.log"
    append(target, "1\n")
    (tmp_path / "logs" / "app.log").symlink_to(target)
    program = start("logshipper", **variables)
    wait_for(receiver, "1")
    append(target, "2\n")
    wait_for(receiver, "1", "2")
    assert program.stop() == 0


def test_writers_are_never_blocked_and_files_never_locked(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    import fcntl  # noqa: PLC0415 - only here

    log = tmp_path / "logs" / "app.log"
    program = start("logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url))
    append(log, "1\n")
    wait_for(receiver, "1")
    with log.open("ab", buffering=0) as app:
        fcntl.flock(app, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(app, fcntl.LOCK_EX | fcntl.LOCK_NB)
        app.write(b"2\n")
        wait_for(receiver, "1", "2")
    modes = Path(f"/proc/{program.process.pid}/fd")
    held = [link for link in modes.iterdir() if link.resolve() == log]
    flags = [(modes.parent / "fdinfo" / link.name).read_text().split("flags:")[1].split()[0] for link in held]
    assert flags
    assert all(int(text, 8) & 0o3 == 0 for text in flags), "opened for reading only"


def test_with_a_sink_down_the_files_are_the_only_buffer(tmp_path: Path, start: Start) -> None:
    """However much is written and rotated: the lines are in the files, which are held, and not in memory."""
    port, dead = free_port(), free_port()
    log = tmp_path / "logs" / "app.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=f"http://127.0.0.1:{dead}/", LOGSHIPPER_ROTATE_WAIT="0")
    program = start("logshipper", **variables)
    blocks = ["".join(f"{block} {number:097}\n" for number in range(20_000)) for block in range(9)]
    append(log, blocks[0])
    program.wait_logged("delivery failed; it is tried again")

    def memory() -> int:
        text = Path(f"/proc/{program.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    before = memory()
    for block in blocks[1:]:
        log.unlink()
        append(log, block)
        held = Path(f"/proc/{program.process.pid}/fd")
        wait_until(lambda: any(link.resolve() == log for link in held.iterdir()), "the new file is held")  # noqa: B023 - called at once
    assert memory() - before < 4 * len(blocks[0])
    receiver = Receiver(dead)
    wait_until(lambda: sum(body.count(b"\n") for _, body in receiver.stored) == 9 * 20_000, "all of it arrives")
    receiver.close()
    assert program.stop() == 0


def test_a_rotated_file_is_deleted_once_every_sink_has_it_and_not_before(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    dead = free_port()
    log, rotated = tmp_path / "logs" / "app.log", tmp_path / "logs" / "app.log.1"
    program = start(
        "logshipper",
        **environ(
            tmp_path,
            free_port(),
            LOGSHIPPER_UP_SINK=receiver.url,
            LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{dead}/",
            LOGSHIPPER_DELETE_DELIVERED="true",
            LOGSHIPPER_ROTATE_WAIT="100ms",
            LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*",
        ),
    )
    append(log, "1\n")
    wait_for(receiver, "1")
    log.rename(rotated)
    append(log, "2\n")
    wait_for(receiver, "1", "2")
    program.wait_logged("delivery failed; it is tried again")
    assert rotated.exists()
    late = Receiver(dead)
    wait_until(lambda: not rotated.exists(), "it is deleted")
    assert late.messages() == ["1", "2"]
    late.close()
    assert [path.name for path in sorted((tmp_path / "logs").iterdir())] == ["app.log"]
    assert program.stop() == 0


def test_dead_letters_are_files_with_the_reason_and_the_id(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "poison:bad"
    letters = tmp_path / "letters" / "default.ndjson"
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_ON_REJECT=f"{tmp_path}/letters")
    append(tmp_path / "logs" / "app.log", "bad 1\nbad 2\n3\n")
    program = start("logshipper", **variables)
    program.wait_logged("lines were rejected")
    wait_for(receiver, "3")
    wait_until(lambda: letters.read_text().count("\n") == 2, "both letters")
    found = [json.loads(line) for line in letters.read_text().splitlines()]
    first, second = sorted(found, key=lambda letter: str(letter["message"]))
    assert (first["message"], second["message"]) == ("bad 1", "bad 2")
    assert first["sink"] == "default"
    assert "400" in first["reason"]
    assert receiver.records()[0]["id"].split("-")[0] == first["id"].split("-")[0]
    assert program.stop() == 0


def test_a_thousand_files_are_all_shipped(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url)
    for number in range(1000):
        append(tmp_path / "logs" / f"{number}.log", f"{number}\n")
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.messages()) >= 1000, "all arrive")
    for number in range(1000):
        append(tmp_path / "logs" / f"{number}.log", f"again {number}\n")
    assert program.stop() == 0
    assert lines_of(receiver.records()).total() == 2000
