"""The real program and the files of the app: found soon, never locked, the only buffer, deleted when delivered."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of, open_files, wait_for
from tests.support import free_port, wait_until


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
    variables["LOGSHIPPER_LINK_ROOTS"] = f"{tmp_path}/elsewhere"
    target = tmp_path / "elsewhere" / "real.log"
    append(target, "1\n")
    (tmp_path / "logs" / "app.log").symlink_to(target)
    program = start("logshipper", **variables)
    wait_for(receiver, "1")
    append(target, "2\n")
    wait_for(receiver, "1", "2")
    assert not program.logged("no inotify: files are only looked at every SCAN_INTERVAL")
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
    held = [link for link, path in open_files(program.process.pid).items() if path == log]
    flags = [Path(str(link).replace("/fd/", "/fdinfo/")).read_text().split("flags:")[1].split()[0] for link in held]
    assert flags
    assert all(int(text, 8) & 0o3 == 0 for text in flags), "opened for reading only"


def test_with_a_sink_down_the_files_are_the_only_buffer(tmp_path: Path, start: Start) -> None:
    """However much is written and rotated, the lines stay in the files, which are held open, and not in memory."""
    port, dead = free_port(), free_port()
    log = tmp_path / "logs" / "app.log"
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=f"http://127.0.0.1:{dead}/", LOGSHIPPER_ROTATE_WAIT="0")
    program = start("logshipper", **variables)
    blocks = ["".join(f"{block} {number:097}\n" for number in range(20_000)) for block in range(9)]
    append(log, blocks[0])
    program.wait_logged("delivery failed; it is retried")

    def memory() -> int:
        text = Path(f"/proc/{program.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    before = memory()
    for block in blocks[1:]:
        log.unlink()
        append(log, block)
        wait_until(lambda: log in open_files(program.process.pid).values(), "the new file is held")
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
    program.wait_logged("delivery failed; it is retried")
    assert rotated.exists()
    late = Receiver(dead)
    wait_until(lambda: not rotated.exists(), "it is deleted")
    wait_for(late, "1", "2")
    late.close()
    assert [path.name for path in sorted((tmp_path / "logs").iterdir())] == ["app.log"]
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


def test_a_symlink_whose_file_comes_later_is_followed(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_LINK_ROOTS=str(tmp_path))
    target, link = tmp_path / "elsewhere", tmp_path / "logs" / "app.log"
    link.symlink_to(target)
    program = start("logshipper", **variables)
    program.wait_ready(port)
    append(target, "1\n")
    wait_for(receiver, "1")
    assert program.stop() == 0
