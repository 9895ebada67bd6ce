"""A last line without a newline in a file that is compressed: nothing more will come, so it is shipped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.logshipper.input.compressed.test_copies import compress, compressing
from tests.logshipper.pod import ROTATE_WAIT
from tests.logshipper.support import append


def test_the_last_line_of_an_unknown_copy_is_shipped_once_the_copy_is_quiet(tmp_path: Path) -> None:
    pod = compressing(tmp_path)
    copy = pod.logs / "app.log.1.gz"
    copy.write_bytes(gzip.compress(b"first\nlast"))
    pod.look()
    assert pod.ship() == ["first"]
    pod.look(ROTATE_WAIT)
    assert pod.ship() == ["last"]
    assert pod.ledgers["default"].total.pending == 0


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
async def test_the_last_line_of_a_log_that_is_compressed_at_once_is_shipped_and_the_log_is_closed(
    tmp_path: Path, suffix: str
) -> None:
    pod = compressing(tmp_path)
    append(pod.log, "first\nlast")
    pod.look()
    assert pod.ship() == ["first"]
    pod.rotate()
    copy = compress(pod.logs / "app.log.1", suffix)
    pod.look()
    assert pod.ship() == [], "the app may still have the file open"
    pod.look(ROTATE_WAIT)
    assert pod.ship() == ["last"]
    pod.look()
    (tail,) = pod.follower.tails.values()
    assert tail.state.path == str(copy), "the deleted file takes no disk space"
    await pod.restart()
    pod.look(ROTATE_WAIT)
    assert pod.ship() == []
    assert not pod.dropped()


def test_an_unknown_copy_is_never_deleted_since_its_lines_may_have_been_left_out(tmp_path: Path) -> None:
    pod = compressing(tmp_path, LOGSHIPPER_START_AT="end")
    pod.delete = True
    pod.kill()
    pod.begin()
    copy = pod.logs / "app.log.1.gz"
    copy.write_bytes(gzip.compress(b"first\nlast"))
    for _ in range(3):
        pod.look(ROTATE_WAIT)
        pod.ship()
    assert copy.exists()
