"""Files that changed while no process ran: which are found again after a restart, and where reading continues."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest

from sidecars.logshipper.input import discovery
from sidecars.logshipper.volumes.log_volumes import LogVolumes
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def ship_one_of_two(pod: Pod) -> None:
    """Write two lines, and ship the first."""
    append(pod.log, "1\n2\n")
    pod.look()
    pod.ship(room=2, batches=1)


async def test_after_a_restart_shipping_goes_on_where_it_was(pod: Pod) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    assert pod.ship() == ["2"]


@pytest.mark.parametrize("name", ["app.log.1", "renamed.log"])
async def test_a_file_that_was_rotated_while_we_were_down_is_found_again(pod: Pod, name: str) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    pod.kill()
    pod.log.rename(pod.logs / name)
    append(pod.log, "3\n")
    pod.begin()
    assert pod.ship() == ["2", "3"]
    assert not pod.dropped()


async def test_a_file_that_was_empty_when_it_was_last_looked_at_is_found_again_under_its_new_name(pod: Pod) -> None:
    pod.log.touch()
    pod.look()
    await pod.restart()
    rotated = pod.logs / "app.log.1"
    pod.log.rename(rotated)
    append(rotated, "1\n")
    pod.kill()
    pod.begin()
    assert pod.ship() == ["1"]
    assert not pod.dropped()


async def test_an_empty_file_that_the_journal_alone_knows_is_found_after_kill_nine_under_its_new_name(pod: Pod) -> None:
    """No snapshot has it, and its entry has no handle: the inode and the name of a rotated file tell it."""
    await pod.restart()
    await pod.store.save()  # as the process does before it is ready
    pod.log.touch()
    pod.look()
    rotated = pod.logs / "app.log.1"
    pod.log.rename(rotated)
    append(rotated, "1\n")
    pod.kill()
    pod.begin()
    assert pod.ship() == ["1"]
    assert not pod.dropped()


async def test_another_file_with_the_inode_of_one_whose_content_was_not_recorded_gets_other_ids(pod: Pod) -> None:
    """A full disk keeps what is known of the content from the state. A sink that knows the ids would drop the lines."""
    pod.log.touch()
    pod.look()
    await pod.restart()
    before = set(pod.follower.tails)
    append(pod.log, "1\n")
    pod.look()  # this process has no journal yet, as with a disk that is full
    assert pod.ship() == ["1"]
    pod.kill()
    os.truncate(pod.log, 0)  # the file keeps its inode, as a new one with a freed number has it
    append(pod.log, "another\n")
    pod.begin()
    assert pod.ship() == ["another"]
    assert not before & set(pod.follower.tails)
    assert not pod.dropped()


async def test_a_file_that_begins_with_nuls_keeps_its_id_when_the_process_is_killed(pod: Pod) -> None:
    """It has no prefix: the end of what was seen is in the journal before the first line is sent."""
    pod.log.touch()
    pod.look()
    await pod.restart()
    await pod.store.save()
    append(pod.log, "\0" * 4096 + "1\n" * 200)
    pod.look()
    sent = pod.queues["default"].collect(100_000)
    pod.send("default", sent)
    pod.kill()
    pod.begin()
    ((again, _),) = pod.queues["default"].resend()
    assert again == sent


@pytest.mark.parametrize("name", ["app.log.1", "app-copy.log"])
async def test_a_file_that_was_copytruncated_while_we_were_down_goes_on_in_the_copy(pod: Pod, name: str) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    pod.kill()
    shutil.copyfile(pod.log, pod.logs / name)
    os.truncate(pod.log, 0)
    append(pod.log, "3 and more than before\n")
    pod.begin()
    assert pod.ship() == ["2", "3 and more than before"]
    assert not pod.dropped()


async def test_an_inode_that_was_reused_while_we_were_down_is_another_file(pod: Pod) -> None:
    append(pod.log, "old 1\nold 2\n")
    pod.look()
    pod.ship()
    await pod.restart()
    pod.kill()
    with pod.log.open("r+b") as file:  # the same inode, another content
        file.write(b"new 1\nnew 2\nnew 3\n")
    pod.begin()
    assert pod.ship() == ["new 1", "new 2", "new 3"]


async def test_a_device_that_has_another_number_after_a_reboot_changes_nothing(pod: Pod) -> None:
    ship_one_of_two(pod)
    for file in pod.store.state.files.values():
        file.key = (file.device + 1, file.inode)
    await pod.restart()
    assert pod.ship() == ["2"]


async def test_a_file_that_is_gone_with_lines_unshipped_is_counted(pod: Pod) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    pod.kill()
    pod.log.unlink()
    pod.begin()
    assert not pod.dropped(), "one listing proves nothing"
    pod.look_until_gone()
    assert pod.dropped() == {"lost": 2}
    assert pod.follower.tails == {}


async def test_a_volume_that_is_not_mounted_yet_is_waited_for(pod: Pod) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    pod.kill()
    away = pod.logs.rename(pod.logs.with_name("away"))
    pod.begin()
    pod.look(100 * ROTATE_WAIT)
    away.rename(pod.logs)
    pod.look()
    assert pod.ship() == ["2"]


async def test_inputs_may_be_named_otherwise_after_a_restart(pod: Pod) -> None:
    ship_one_of_two(pod)
    pod.environ["LOGSHIPPER_APP_PATHS"] = pod.environ.pop("LOGSHIPPER_PATHS")
    await pod.restart()
    append(pod.logs / "new.log", "3\n")
    pod.look()
    assert Counter(pod.ship()) == Counter("23")


async def test_a_sink_that_is_new_gets_what_is_still_there(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "old")
    append(pod.log, "1\n")
    pod.look()
    pod.ship("old")
    pod.names, pod.got["new"] = ("old", "new"), []
    await pod.restart()
    assert pod.ship("new") == ["1"]
    assert pod.ship("old") == []


async def test_a_file_of_which_nothing_was_shipped_is_found_again_in_its_copy(pod: Pod) -> None:
    """The sink was down from the beginning. The file was copied and truncated while no process ran."""
    await pod.store.save()
    append(pod.log, "1\n2\n")
    pod.look()
    pod.kill()
    shutil.copyfile(pod.log, pod.logs / "app.log.1")
    os.truncate(pod.log, 0)
    append(pod.log, "3\n")
    pod.begin()
    assert pod.ship() == ["1", "2", "3"]


async def test_another_log_with_the_same_beginning_is_not_taken_for_a_copy(pod: Pod) -> None:
    append(pod.log, "banner\n")
    pod.look()
    await pod.restart()
    pod.kill()
    append(pod.logs / "other.txt", "banner\nnot ours\n")
    pod.log.unlink()
    pod.begin()
    pod.look_until_gone()
    assert pod.ship() == []
    assert pod.dropped() == {"lost": 7}


async def test_a_file_that_vanishes_while_it_cannot_be_read_is_counted(pod: Pod) -> None:
    ship_one_of_two(pod)
    await pod.restart()
    pod.kill()
    away = pod.logs.rename(pod.logs.with_name("away"))
    pod.begin()
    (away / "app.log").unlink()
    away.rename(pod.logs)
    pod.look_until_gone()
    assert pod.dropped() == {"lost": 2}
    assert pod.follower.tails == {}


async def test_thousands_of_files_are_found_again_by_one_look_at_their_directory(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        append(pod.logs / f"{number}.log", f"{number}\n")
    pod.look()
    pod.ship()
    for file in pod.store.state.files.values():
        file.key = (file.device + 1, file.inode)
    await pod.store.save()
    pod.kill()
    looks: list[str] = []
    real = discovery.files_in

    def look(volumes: LogVolumes, folder: str) -> dict[str, discovery.FoundFile]:
        looks.append(folder)
        return real(volumes, folder)

    monkeypatch.setattr(discovery, "files_in", look)
    pod.begin()
    assert looks == [str(pod.logs)]
    assert pod.ship() == []


async def test_a_file_is_not_given_up_while_its_directory_cannot_be_listed(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pod.log, "1\n2\n")
    pod.look()
    await pod.store.save()
    pod.kill()

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failing:
        failing.setattr(LogVolumes, "scan", fail)
        pod.begin()
    (tail,) = pod.follower.tails.values()
    assert tail.dormant
    pod.look()
    assert pod.ship() == ["1", "2"]
    assert list(pod.follower.tails.values()) == [tail]
    assert pod.dropped() == {}


def inode_of_a_copy(pod: Pod) -> int:
    """Copy the log, and return the copy's inode."""
    copy = Path(shutil.copy(pod.log, pod.logs / "app.log.1"))
    return copy.stat().st_ino


async def test_a_copy_with_the_inode_of_an_empty_file_that_was_deleted_is_found_by_its_content(tmp_path: Path) -> None:
    """File systems give the number of a freed inode to the next file."""
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    empty = pod.logs / "app.log.2"
    empty.touch()
    pod.look()
    (of_empty,) = pod.follower.tails.values()
    ship_one_of_two(pod)
    of_empty.state.key = (of_empty.state.device, inode_of_a_copy(pod))
    await pod.store.save()
    pod.kill()
    empty.unlink()
    os.truncate(pod.log, 0)
    pod.begin()
    assert pod.ship() == ["2"]
