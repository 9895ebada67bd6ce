"""What loses or repeats lines elsewhere, by name. The rest is in `test_follower`, `test_restart` and `test_program`."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from sidecars.logshipper.input import discovery
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def rotate_through(pod: Pod) -> None:
    """As logrotate does with numbers: each rotated file moves on before the log itself becomes number one."""
    for number in (3, 2, 1):
        path = pod.logs / f"app.log.{number}"
        if path.exists():
            path.rename(path.with_name(f"app.log.{number + 1}"))
    pod.log.rename(pod.logs / "app.log.1")


# -- rotation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_a_rotated_file_that_is_renamed_again_before_it_was_read(tmp_path: Path, pattern: str) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/{pattern}")
    for number in range(1, 5):
        append(pod.log, f"{number}\n")
        pod.look()
        rotate_through(pod)
    append(pod.log, "5\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3", "4", "5"]


async def test_rotated_files_that_are_renamed_again_while_we_are_down(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    for number in range(1, 4):
        append(pod.log, f"{number}\n")
        pod.look()
        rotate_through(pod)
    await pod.restart()
    pod.kill()
    append(pod.log, "4\n")
    rotate_through(pod)
    append(pod.log, "5\n")
    pod.begin()
    assert Counter(pod.ship(room=2)) == Counter("12345")
    assert not pod.dropped()


def test_delete_and_recreate_between_two_looks(pod: Pod) -> None:
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as old:
        pod.log.unlink()
        append(pod.log, "3\n")
        old.write("2\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3"]


def test_a_file_that_is_recreated_with_the_very_same_first_lines_is_another_file(pod: Pod) -> None:
    """Equal beginnings are no reason to leave a file out, as where a checksum of the first line is all there is."""
    append(pod.log, "banner\n1\n")
    pod.look()
    pod.ship()
    pod.log.unlink()
    append(pod.log, "banner\n2\n")
    pod.look()
    assert pod.ship() == ["banner", "2"]


def test_a_file_that_is_cut_between_the_look_and_the_read(pod: Pod) -> None:
    """The race of copytruncate: the size was seen, and the bytes are gone or others by the time they are read."""
    append(pod.log, "1\n2\n")
    pod.look()
    assert pod.ship(room=2, batches=1) == ["1"]
    shutil.copyfile(pod.log, pod.logs / "app.log.1")
    os.truncate(pod.log, 0)
    append(pod.log, "33333\n")
    assert pod.ship() == [], "the read itself notices"
    assert pod.ship() == ["2", "33333"], "and goes on in the copy"
    assert not pod.dropped()


def test_a_file_that_vanishes_between_being_listed_and_being_opened(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pod.log, "1\n")
    append(pod.logs / "short-lived.log", "gone\n")
    real = os.open

    def vanish(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("short-lived.log"):
            Path(path).unlink()
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", vanish)
        pod.look()
    assert pod.ship() == ["1"]
    assert pod.follower.access.unreadable == {}


# -- compression of rotated files --------------------------------------------------------------------------------------


def compress(path: Path, *, keep: bool = False) -> None:
    """As gzip does: a new file grows beside the old one, which is then removed."""
    packed = path.with_name(f"{path.name}.gz")
    packed.touch()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    if not keep:
        path.unlink()


def test_a_rotated_file_that_is_compressed_before_it_was_read_is_shipped_once(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "1\n2\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "3\n")
    (pod.logs / "app.log.1.gz").touch()
    pod.look()
    compress(rotated, keep=True)
    pod.look()
    rotated.unlink()
    pod.look()
    assert Counter(pod.ship()) == Counter("123")
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert pod.ship() == []
    assert not pod.dropped()


async def test_a_rotated_file_that_is_compressed_while_we_are_down_is_not_shipped_twice(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "1\n2\n")
    pod.look()
    pod.ship()
    await pod.restart()
    pod.kill()
    compress(pod.log.rename(pod.logs / "app.log.1"))
    append(pod.log, "3\n")
    pod.begin()
    assert pod.ship() == ["3"]
    assert not pod.dropped()


@pytest.mark.parametrize(
    "first", [b"\x1f\x8b", b"\x1f\x9d", b"BZh9", b"PK\x03\x04", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
)
def test_compressed_files_are_known_by_their_first_bytes_whatever_their_name(pod: Pod, first: bytes) -> None:
    (pod.logs / "x.log").write_bytes(first + b" not lines\n")
    pod.look()
    assert pod.ship() == []


# -- deletion of what was delivered ------------------------------------------------------------------------------------


def deleting(tmp_path: Path, *sinks: str) -> Pod:
    pod = Pod(tmp_path, *sinks, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    pod.kill()
    pod.delete = True
    pod.begin()
    return pod


def test_a_rotated_file_is_deleted_when_the_last_sink_has_all_of_it(tmp_path: Path) -> None:
    pod = deleting(tmp_path, "up", "down")
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "2\n")
    pod.look()
    pod.ship("up")
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert rotated.exists()
    pod.ship("down")
    pod.look()
    assert not rotated.exists()
    assert pod.log.exists(), "the log itself never is"
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert [tail.state.first_path for tail in pod.follower.tails.values()] == [str(pod.log)]


def test_what_is_written_to_a_file_after_its_deletion_is_still_shipped(tmp_path: Path) -> None:
    """By a writer that did not let go of the rotated file for longer than ROTATE_WAIT."""
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    with pod.log.open("a") as late:
        rotated = pod.log.rename(pod.logs / "app.log.1")
        pod.look()
        pod.ship()
        pod.look(ROTATE_WAIT + 1)
        assert not rotated.exists()
        late.write("2\n")
    pod.look()
    assert pod.ship() == ["2"]


def test_another_file_that_took_the_name_just_before_the_deletion_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    append(pod.log, "2\n")
    pod.look()
    pod.ship()
    real = os.rename

    def rotate_first(source: str, target: str) -> None:
        monkeypatch.setattr(os, "rename", real)
        rotate_through(pod)
        real(source, target)

    monkeypatch.setattr(os, "rename", rotate_first)
    pod.look(ROTATE_WAIT + 1)
    assert rotated.read_text() == "2\n"
    assert (pod.logs / "app.log.2").exists(), "it is looked for under its new name next time"
    pod.look()
    assert not (pod.logs / "app.log.2").exists()


def test_a_rotated_file_that_cannot_be_deleted_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = deleting(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    rotated = pod.log.rename(pod.logs / "app.log.1")
    pod.look()
    pod.ship()

    def refuse(_source: str, _target: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    pod.look(ROTATE_WAIT + 1)
    assert pod.follower.access.unreadable == {str(rotated): "Read-only file system"}
    append(pod.log, "2\n")
    pod.look()
    assert pod.ship() == ["2"]


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_clock_that_is_set_hides_no_new_file(pod: Pod, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    real = time.time_ns
    os.utime(pod.logs, (1, 1))
    pod.follower.look(sure=False)
    monkeypatch.setattr(time, "time_ns", lambda: real() + step * 10**9)
    pod.follower.look(sure=False)
    append(pod.log, "1\n")
    pod.follower.look(sure=False)
    assert pod.ship() == ["1"]
    os.utime(pod.log, (real() / 1e9 + step, real() / 1e9 + step))
    append(pod.log, "2\n")
    os.utime(pod.log, (1, 1))
    pod.follower.look(sure=False)
    assert pod.ship() == ["2"]


def test_a_file_system_that_does_not_tell_of_new_names_is_looked_at_all_the_same(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_times", lambda _folder: (1, 1, 1))
    pod.follower.look(sure=False)
    append(pod.log, "1\n")
    for _ in range(10):
        pod.follower.look(sure=False)
    assert pod.ship() == ["1"]


# -- lines that are too long, and events of several lines --------------------------------------------------------------


@pytest.mark.parametrize("size", [1025, 3000, 3_000_000])
async def test_a_line_that_is_too_long_can_be_cut_and_the_rest_is_counted(tmp_path: Path, size: int) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB", LOGSHIPPER_LONG_LINES="cut")
    append(pod.log, "before\n" + "x" * size + "\nafter\n")
    pod.look()
    assert pod.ship(room=2000, batches=2) == ["before", "x" * 1024]
    await pod.restart()
    assert pod.ship(room=2000) == ["after"]
    assert pod.dropped() == {"cut": size - 1024 + 1}
    assert pod.ledgers["default"].total.lines == 1, "of this process"


def test_a_line_that_is_cut_while_it_is_still_being_written(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB", LOGSHIPPER_LONG_LINES="cut")
    append(pod.log, "x" * 2000)
    pod.look()
    assert pod.ship() == ["x" * 1024]
    append(pod.log, "y" * 2000)
    pod.look()
    assert pod.ship() == []
    append(pod.log, "z\nafter\n")
    pod.look()
    assert pod.ship() == ["after"]
    assert pod.dropped() == {"cut": 976 + 2000 + 2}


TRACE = "2026-01-02 10:00:00 ERROR failed\njava.lang.IllegalStateException: no\n\tat shop.Order.pay(Order.java:1)\n"


def java(tmp_path: Path, **environ: str) -> Pod:
    return Pod(tmp_path, LOGSHIPPER_MULTILINE="java", LOGSHIPPER_MULTILINE_TIMEOUT="5s", **environ)


def events(pod: Pod, room: int = 100_000) -> list[str]:
    """Deliver what there is; each event as a text."""
    found: list[str] = []
    while chunks := pod.queues["default"].collect(room):
        flight = pod.send("default", chunks)
        found += [body for records in flight.batch.records for body in records.bodies]
        pod.settle(flight)
        pod.check()
    return found


def test_the_last_event_of_several_lines_waits_for_more_of_it_until_the_timeout(tmp_path: Path) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE)
    pod.look()
    assert events(pod) == []
    append(pod.log, "\tat shop.Shop.main(Shop.java:2)\n")
    pod.look(4)
    assert events(pod) == []
    pod.look(4)
    assert events(pod) == []
    pod.look(2)
    assert events(pod) == [TRACE + "\tat shop.Shop.main(Shop.java:2)"]
    assert pod.ledgers["default"].total.lines == 4


@pytest.mark.parametrize("room", [1, 100, 150, 1000])
def test_a_batch_ends_between_events_however_small_it_is(tmp_path: Path, room: int) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE * 20 + "2026-01-02 10:00:01 INFO fine\n")
    pod.look()
    assert events(pod, room) == [TRACE.removesuffix("\n")] * 20
    pod.look(6)
    assert events(pod, room) == ["2026-01-02 10:00:01 INFO fine"]


def test_the_last_event_is_shipped_at_the_end_of_the_file_and_of_the_pod(tmp_path: Path) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE)
    pod.look()
    pod.log.unlink()
    append(pod.log, TRACE + "\tat unfinished")
    pod.look()
    pod.follower.finish()
    first, *rest = events(pod)
    assert first == TRACE.removesuffix("\n")
    assert "\n".join(rest) == TRACE + "\tat unfinished"


def test_an_event_that_never_ends_stops_no_file(tmp_path: Path) -> None:
    pod = java(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, TRACE + "\tat endless\n" * 1000 + "2026-01-02 10:00:01 INFO fine\n" * 2)
    pod.look()
    found = events(pod, 500)
    assert "\n".join(found) + "\n" == TRACE + "\tat endless\n" * 1000 + "2026-01-02 10:00:01 INFO fine\n"
    assert max(map(len, found)) <= 1024


@pytest.mark.parametrize("unfinished", [False, True])
async def test_kill_nine_while_an_event_waits_ships_it_once(tmp_path: Path, *, unfinished: bool) -> None:
    pod = java(tmp_path)
    append(pod.log, TRACE + TRACE + ("\tat unfin" if unfinished else ""))
    await pod.store.save()
    pod.look()
    sent = pod.send("default", pod.queues["default"].collect(10_000))
    assert sent.batch.events == 1
    pod.kill()
    pod.begin()
    (again,) = pod.queues["default"].take_up()
    assert [chunk.data for chunk in again] == [chunk.data for chunk in sent.chunks]
