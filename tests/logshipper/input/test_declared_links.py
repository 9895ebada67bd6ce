"""Links that LOGSHIPPER_LINK_ROOTS allows: they are followed as the app switches them."""

from __future__ import annotations

from pathlib import Path

from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def test_a_symlink_that_is_switched_to_another_file_leaves_the_first_to_be_read_to_its_end(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_LINK_ROOTS=f"{tmp_path}/logs")
    first, second = pod.logs / "app-1", pod.logs / "app-2"
    append(first, "1\n")
    pod.log.symlink_to(first)
    pod.look()
    append(second, "3\n")
    pod.log.unlink()
    pod.log.symlink_to(second)
    pod.look()
    append(first, "2\n")
    pod.look()
    assert pod.ship(room=2) == ["1", "2", "3"]
    pod.look(ROTATE_WAIT + 1)
    pod.look()
    assert len(pod.follower.tails) == 1
