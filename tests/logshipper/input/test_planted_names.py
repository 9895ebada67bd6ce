"""What a neighbour can plant among the log files: links, other kinds of files, our own files, and very many names."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sidecars.logshipper.input import chunk_reader, discovery, file_access
from sidecars.logshipper.volumes import globs
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append

SECRET = "the token of the service account\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "token.log"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def shipped(pod: Pod) -> list[str]:
    """Look twice, and ship everything. An innocent line proves that the job is still done."""
    append(pod.logs / "innocent.log", "1\n")
    pod.look()
    pod.look(ROTATE_WAIT + 1)
    return pod.ship()


def test_a_link_to_a_file_is_not_read_and_is_told(pod: Pod, secret: Path) -> None:
    pod.log.symlink_to(secret)
    assert shipped(pod) == ["1"]
    assert "LOGSHIPPER_LINK_ROOTS" in pod.follower.access.unreadable[str(pod.log)]
    assert pod.follower.access.unreadable_count == 1


def test_a_link_in_the_place_of_a_plain_name_makes_its_input_unready(tmp_path: Path, secret: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log")
    pod.log.symlink_to(secret)
    pod.look()
    assert "LOGSHIPPER_LINK_ROOTS" in pod.follower.unreadable_inputs()["default"]


@pytest.mark.parametrize("pattern", ["*/*.log", "**/*.log", "s*/token.log"])
def test_a_link_to_a_directory_is_not_read(tmp_path: Path, secret: Path, pattern: str) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log,{tmp_path}/logs/{pattern}")
    (pod.logs / "s").symlink_to(secret.parent)
    (pod.logs / "sub").symlink_to(secret.parent)
    assert shipped(pod) == ["1"]


def test_a_directory_that_is_swapped_for_a_link_after_the_listing_is_not_read(tmp_path: Path, secret: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/**/*.log")
    (pod.logs / "sub").mkdir()
    append(pod.logs / "sub" / "token.log", "2\n")
    listing = None
    steps = pod.follower.scan_known()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        listing = end.value
    (pod.logs / "sub").rename(pod.logs / "was")
    (pod.logs / "sub").symlink_to(secret.parent)
    for _ in pod.follower.scan_new(listing, first=False):
        pass
    assert pod.ship() == []
    assert shipped(pod) == ["2", "1"]


@pytest.mark.parametrize("declared", ["logs", "pods"])
def test_a_link_is_followed_only_to_a_declared_root(tmp_path: Path, secret: Path, declared: str) -> None:
    (tmp_path / "pods" / "a_b").mkdir(parents=True)
    append(tmp_path / "pods" / "a_b" / "0.log", "2\n")
    (tmp_path / "pods" / "a_b" / "out.log").symlink_to(secret)
    pod = Pod(tmp_path, LOGSHIPPER_LINK_ROOTS=f"{tmp_path}/{declared}")
    pod.log.symlink_to(tmp_path / "pods" / "a_b" / "0.log")
    (pod.logs / "relative.log").symlink_to("../pods/a_b/0.log")
    (pod.logs / "out.log").symlink_to(tmp_path / "pods" / "a_b" / "out.log")
    (pod.logs / "climbing.log").symlink_to(f"{tmp_path}/pods/../outside/token.log")
    (pod.logs / "circle.log").symlink_to("circle.log")
    assert shipped(pod) == (["2", "1"] if declared == "pods" else ["1"])


def test_a_chain_of_links_ends_after_eight_hops(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_LINK_ROOTS=f"{tmp_path}/logs")
    append(pod.logs / "0", "2\n")
    for number in range(1, 20):
        (pod.logs / str(number)).symlink_to(str(number - 1))
    (pod.logs / "near.log").symlink_to("7")
    assert shipped(pod) == ["2", "1"]
    (pod.logs / "near.log").unlink()
    append(pod.logs / "0", "3\n")
    (pod.logs / "far.log").symlink_to("19")
    pod.look()
    assert str(pod.logs / "far.log") in pod.follower.access.unreadable


def test_what_is_no_regular_file_is_told_and_never_waited_for(pod: Pod) -> None:
    os.mkfifo(pod.logs / "fifo.log")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(pod.logs / "socket.log"))
        (pod.logs / "folder.log").mkdir()
        assert shipped(pod) == ["1"]
    names = {Path(path).name for path in pod.follower.access.unreadable}
    assert names == {"fifo.log", "socket.log"}


def test_a_write_lease_on_a_new_file_blocks_nobody(pod: Pod) -> None:
    append(pod.log, "2\n")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent to the holder of a lease that somebody wants to break
    with pod.log.open("r+b") as app:
        fcntl.fcntl(app, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert shipped(pod) == ["1"]
        assert str(pod.log) in pod.follower.access.unreadable
    signal.signal(signal.SIGIO, before)
    pod.look()
    assert pod.ship() == ["2"]


@pytest.mark.parametrize("name", ["positions.json", "journal-1", "lock"])
async def test_a_hard_link_to_our_state_is_not_read(pod: Pod, name: str) -> None:
    await pod.store.save()
    (pod.logs / "ours.log").hardlink_to(pod.state_dir / name)
    assert shipped(pod) == ["1"]
    if (pod.state_dir / name).stat().st_size:
        assert pod.follower.access.unreadable == {str(pod.logs / "ours.log"): "it is a file of logshipper itself"}


async def test_a_hard_link_to_a_state_that_was_replaced_since_is_not_read(pod: Pod) -> None:
    await pod.store.save()
    (pod.logs / "snapshot.log").hardlink_to(pod.state_dir / "positions.json")
    (pod.logs / "journal.log").hardlink_to(pod.state_dir / "journal-1")
    pod.store.note_change()
    for _ in range(2):
        await pod.store.save()
    assert not (pod.state_dir / "journal-1").exists()
    assert shipped(pod) == ["1"]


def test_a_hard_link_to_a_secret_is_not_read(tmp_path: Path, secret: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_SINK_TOKEN_FILE=str(secret), LOGSHIPPER_SINK="http://127.0.0.1:9/")
    pod.log.hardlink_to(secret)
    assert shipped(pod) == ["1"]


def test_a_log_that_is_moved_to_where_we_write_is_left(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_SINK=f"file://{tmp_path}/audit")
    (tmp_path / "audit").mkdir()
    append(pod.log, "2\n")
    pod.look()
    assert pod.ship() == ["2"]
    moved = pod.log.rename(tmp_path / "audit" / "logshipper.ndjson")
    append(moved, "3\n")
    assert shipped(pod) == ["1"]
    assert pod.dropped() == {}


def test_a_rotated_file_behind_a_directory_that_became_a_link_is_not_deleted(tmp_path: Path, secret: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/**/*.log*")
    pod.kill()
    pod.delete = True
    pod.begin()
    folder = pod.logs / "sub"
    folder.mkdir()
    append(folder / "token.log", "2\n")
    pod.look()
    (folder / "token.log").rename(folder / "token.log.1")
    pod.look()
    assert pod.ship() == ["2"]
    (secret.parent / "token.log.1").hardlink_to(folder / "token.log.1")  # the very file, outside
    folder.rename(pod.logs / "was")
    folder.symlink_to(secret.parent)
    tail = next(iter(pod.follower.tails.values()))
    pod.follower._delete(tail)
    assert (secret.parent / "token.log.1").exists()
    assert secret.read_text() == SECRET


def test_names_of_any_bytes_and_length_hide_nothing(pod: Pod) -> None:
    for number, name in enumerate([b"x" * 251, b"\xff\xfe", b"a\nb", b"\x1b[2J"], 2):
        (Path(os.fsdecode(os.fsencode(pod.logs) + b"/" + name + b".log"))).write_text(f"{number}\n")
    assert sorted(shipped(pod)) == ["1", "2", "3", "4", "5"]


def test_of_very_many_files_the_newest_with_content_are_followed_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "MAX_FILES", 100)
    monkeypatch.setattr(discovery, "MAX_FILES_OF_OWNER", 80)
    (tmp_path / "logs").mkdir()
    for number in range(300):
        (tmp_path / "logs" / f"{number}.log").touch()
    pod = Pod(tmp_path)
    pod.look()
    assert len(pod.follower.tails) == 80
    assert pod.follower.access.not_followed == 220
    assert pod.follower.needs_scan()
    append(pod.logs / "innocent.log", "1\n")
    pod.look()
    pod.look()
    assert pod.ship() == ["1"]
    assert len(pod.follower.tails) == 80


def test_files_of_another_user_find_room_beside_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_FILES", 100)
    monkeypatch.setattr(discovery, "MAX_FILES_OF_OWNER", 80)
    pod = Pod(tmp_path)
    for number in range(300):
        append(pod.logs / f"{number}.log", f"{number}\n")
    real = globs._status

    def other(entry: os.DirEntry[str]) -> os.stat_result | None:
        status = real(entry)
        if status is None or entry.name != "innocent.log":
            return status
        fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        return cast("os.stat_result", SimpleNamespace(**{**fields, "st_uid": status.st_uid + 1}))

    monkeypatch.setattr(globs, "_status", other)
    pod.look()
    pod.ship()
    append(pod.logs / "innocent.log", "the innocent line\n")
    os.utime(pod.logs / "innocent.log", (1, 1))
    pod.look()
    assert "the innocent line" in pod.ship()


def test_many_refused_names_are_bounded_in_the_log_and_on_the_page(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file_access, "_MOST_SHOWN", 50)
    for number in range(200):
        (pod.logs / f"{number}.log").symlink_to("/etc/passwd")
    for _ in range(3):
        pod.look()
    assert len(pod.follower.access.unreadable) == 50
    assert pod.follower.access.unreadable_count == 200


def test_a_file_that_shrinks_while_it_is_read_stops_nothing(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pod.log, "2\n" * 1000)
    pod.look()
    real = os.pread

    def shrinking(descriptor: int, length: int, offset: int) -> bytes:
        if length > 1000:
            os.truncate(pod.log, 10)
        return real(descriptor, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", shrinking)
        pod.queues["default"].collect(100_000)
    assert "1" in shipped(pod)


def test_a_sparse_file_of_four_terabytes_is_no_work(pod: Pod) -> None:
    append(pod.log, "2\n")
    os.truncate(pod.log, 4 << 40)
    assert shipped(pod) == ["2", "1"]


def test_a_line_of_four_terabytes_without_an_end_is_dropped_piece_by_piece(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_LONG_LINES="cut", LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, "x" * 5000)
    os.truncate(pod.log, 4 << 40)
    append(pod.log, "y\n")
    append(pod.logs / "innocent.log", "1\n")
    pod.look()
    assert "1" in pod.ship(batches=5)


def test_very_many_zeros_on_the_disk_are_searched_in_parts_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_reader, "_SEARCH", 4096)
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, "2\n")
    with pod.log.open("ab") as app:
        app.write(b"\0" * 4096 * 200)
        app.write(b"3\n")
    append(pod.logs / "innocent.log", "1\n")
    pod.look()
    assert pod.ship(room=8192) == ["2", "1"], "the search is not over"
    lines = []
    for _ in range(10):
        pod.follower.poll()
        lines += pod.ship(room=8192)
    assert lines == ["3"]
    assert pod.dropped() == {"hole": 4096 * 200}


def test_the_search_is_finished_at_the_end_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_reader, "_SEARCH", 4096)
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    with pod.log.open("ab") as app:
        app.write(b"\0" * 4096 * 200)
        app.write(b"3\n")
    pod.look()
    pod.follower.finish()
    assert pod.ship(room=8192) == ["3"]
