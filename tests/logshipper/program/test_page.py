"""The page of a real logshipper: sinks and files as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecars.logshipper.picture import PICTURE
from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, status, wait_for
from tests.picture_paths import empty_cells, page_of
from tests.support import free_port, wait_until


def test_the_page_shows_why_a_sink_does_not_move_and_the_sum_of_the_other(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port, dead = free_port(), free_port()
    variables = environ(
        tmp_path,
        port,
        LOGSHIPPER_UP_SINK=receiver.url,
        LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{dead}/",
        LOGSHIPPER_DROP="noise",
    )
    program = start("logshipper", **variables)
    log = tmp_path / "logs" / "<b>x.log"
    append(log, "one\nnoise\n")
    wait_for(receiver, "one")
    log.rename(log.with_suffix(".1"))
    append(log, "two\n")
    wait_for(receiver, "one", "two")

    def backing_off() -> dict[str, Any] | None:
        """Return the document while no attempt is under way."""
        found = status(port)
        down = found["sinks"]["down"]
        return found if down["failures"] > 1 and down["state"] == "backing off" else None

    found = wait_until(backing_off, "the sink that is down has failed")
    down = found["sinks"]["down"]
    assert down["why"].startswith(down["trouble"])
    assert "times in a row; " in down["why"]
    assert found["sums"][1] == "up: read 14 B = delivered 8 B + dropped 6 B (filtered 6 B) + pending 0"
    assert found["held"]["rotated_files"] == 1
    assert empty_cells(PICTURE, found) == {"Names that are not read"}

    page = page_of(port)
    assert "delivered 8 B + dropped 6 B" in page
    assert "&lt;b&gt;x.log" in page
    assert "<b>" not in page
    assert program.stop() == 69
