"""Lines that no process has seen: they were written to a truncated log, which was rotated again while none ran."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from sidecars.chassis.isolation import file_handles
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append

ONLY_THE_LOG, ROTATED_FILES_TOO = "app.log", "app.log*"
_SEEN = [f"{number} seen" for number in range(17)]
_UNSEEN = [f"{number} unseen" for number in range(19)]


def copytruncate(pod: Pod, name: str) -> None:
    shutil.copyfile(pod.log, pod.logs / name)
    os.truncate(pod.log, 0)


async def kill_after_a_copytruncate(tmp_path: Path, pattern: str, seen: list[str]) -> Pod:
    """Return a Pod that was killed before it could look at the truncated log. It has shipped two of the lines."""
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/{pattern}")
    append(pod.log, "".join(f"{line}\n" for line in seen))
    pod.look()
    pod.ship(room=14, batches=1)
    await pod.restart()
    copytruncate(pod, "app.log.1")
    pod.kill()
    return pod


def start_and_ship(pod: Pod) -> list[str]:
    """Start. The rotated files get other names twice before they are read. Return all lines."""
    pod.begin()
    for first in (3, 5):
        for number, path in enumerate(sorted(pod.logs.glob("app.log.*")), first):
            path.rename(pod.logs / f"app.log.{number}")
    pod.look()
    append(pod.log, "next\n")
    pod.look()
    pod.ship()
    return pod.got["default"]


@pytest.mark.parametrize(
    ("pattern", "unseen"), [(ROTATED_FILES_TOO, _UNSEEN), (ONLY_THE_LOG, [])], ids=["rotated files too", "the log"]
)
@pytest.mark.parametrize("seen", [_SEEN, _SEEN[:2]], ids=["some pending", "all shipped"])
async def test_the_second_copy_is_read_if_a_glob_matches_it(
    tmp_path: Path, pattern: str, unseen: list[str], seen: list[str]
) -> None:
    pod = await kill_after_a_copytruncate(tmp_path, pattern, seen)
    append(pod.log, "".join(f"{line}\n" for line in _UNSEEN))
    copytruncate(pod, "app.log.2")
    assert sorted(start_and_ship(pod)) == sorted([*seen, *unseen, "next"]), "the first copy is found by its content"
    assert not pod.dropped()


async def test_a_file_that_somebody_put_beside_the_log_is_not_read(tmp_path: Path) -> None:
    """It has the name, the bytes and the times that the unseen copy would have: nothing tells the two apart."""
    pod = await kill_after_a_copytruncate(tmp_path, ONLY_THE_LOG, _SEEN)
    append(pod.logs / "app.log.2", "".join(f"{line}\n" for line in _UNSEEN))
    assert start_and_ship(pod) == [*_SEEN, "next"]
    assert not pod.dropped()


@pytest.mark.parametrize("pattern", [ROTATED_FILES_TOO, ONLY_THE_LOG])
@pytest.mark.parametrize("copy_is", ["there", "gone"])
async def test_the_truncated_log_is_read_under_any_name(tmp_path: Path, pattern: str, copy_is: str) -> None:
    """Its inode and handle are known. Its last line is shipped once it is over, also after a further restart."""
    pod = await kill_after_a_copytruncate(tmp_path, pattern, _SEEN[:2])
    if copy_is == "gone":
        (pod.logs / "app.log.1").unlink()
    append(pod.log, "".join(f"{line}\n" for line in _UNSEEN))
    pod.log.rename(pod.logs / "app.log.2")
    assert sorted(start_and_ship(pod)) == sorted(
        [_SEEN[0], *([_SEEN[1]] if copy_is == "there" else []), *_UNSEEN, "next"]
    )
    await pod.restart()
    append(max(pod.logs.glob("app.log.*")), "late")
    pod.look()
    pod.look(ROTATE_WAIT + 1)
    assert pod.ship() == ["late"]


async def test_a_later_file_with_the_inode_number_of_the_log_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = await kill_after_a_copytruncate(tmp_path, ONLY_THE_LOG, _SEEN)
    append(pod.log, "".join(f"{line}\n" for line in _UNSEEN))
    pod.log.rename(pod.logs / "app.log.2")
    monkeypatch.setattr(file_handles, "identity", lambda descriptor, _device: f"h:{os.fstat(descriptor).st_ino}")
    assert start_and_ship(pod) == [*_SEEN, "next"]


async def test_a_truncated_log_that_was_compressed_in_place_is_not_read(tmp_path: Path) -> None:
    pod = await kill_after_a_copytruncate(tmp_path, ONLY_THE_LOG, _SEEN)
    pod.log.write_bytes(gzip.compress(b"unseen"))
    pod.log.rename(pod.logs / "app.log.2")
    assert start_and_ship(pod) == [*_SEEN, "next"]
