"""Lines are counted as they grow, also through a rotation in the middle of a line."""

from __future__ import annotations

from pathlib import Path

from demo.log_lines import LogLines


def test_each_line_is_counted_once_when_it_has_its_end(tmp_path: Path) -> None:
    lines = LogLines(tmp_path)
    log = tmp_path / "app.log"
    assert lines.count() == 0
    with log.open("w") as file:
        file.write("one\ntwo\nthr")
        file.flush()
        assert lines.count() == 2
        assert lines.count() == 2
        log.rename(tmp_path / "app.log.1")
        file.write("ee\n")
    log.write_text("four\n")
    assert lines.count() == 4
