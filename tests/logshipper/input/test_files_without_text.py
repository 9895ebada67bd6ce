"""Files that end without a text in their last line: a byte order mark alone, or half of a line's end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.logshipper.input.test_utf16_files import ship
from tests.logshipper.pod import ROTATE_WAIT, Pod

_ENDS = [
    ({}, b"\xef\xbb\xbf"),
    ({}, b"\xef\xbb\xbf\r"),
    ({}, b"a line\n\r"),
    ({"LOGSHIPPER_FORMAT": "json"}, b"\xef\xbb\xbf"),
    ({"LOGSHIPPER_FORMAT": "cri,json"}, b"\xef\xbb\xbf"),
    ({"LOGSHIPPER_MULTILINE": "java", "LOGSHIPPER_REDACT": "secrets"}, b"\xef\xbb\xbf"),
    ({"LOGSHIPPER_ENCODING": "auto"}, b"\xff\xfe"),
    ({"LOGSHIPPER_ENCODING": "auto"}, b"\xff\xfe\r\0"),
    ({"LOGSHIPPER_ENCODING": "utf-16be"}, b"\xfe\xff"),
    ({"LOGSHIPPER_ENCODING": "gb18030"}, b"\x84\x31\x95\x33"),
]


@pytest.mark.parametrize(("settings", "data"), _ENDS)
@pytest.mark.parametrize("how", ["deleted", "ended"])
def test_a_piece_without_text_is_no_event_and_its_bytes_are_counted(
    tmp_path: Path, how: str, settings: dict[str, str], data: bytes
) -> None:
    pod = Pod(tmp_path, **settings)
    pod.log.write_bytes(data)
    pod.look()
    if how == "deleted":
        pod.log.unlink()
    found = ship(pod)
    for _ in range(4):
        pod.look(ROTATE_WAIT)
        found += ship(pod)
    if how == "ended":
        list(pod.follower.final_scan_steps())
        found += ship(pod)
    assert found == (["a line"] if b"line" in data else [])
    assert pod.ledgers["default"].total.pending == 0
    assert pod.dropped() == {"hole": len(data) - len(b"a line\n" if found else b"")}
    assert pod.ledgers["default"].total.lines == len(found)


def test_a_line_after_a_mark_that_an_earlier_process_has_seen_alone_comes_whole(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.log.write_bytes(b"\xef\xbb\xbf")
    pod.look()
    list(pod.follower.final_scan_steps())
    assert ship(pod) == []
    with pod.log.open("ab") as file:
        file.write(b"first\n\nlast\n")
    pod.kill()
    pod.begin()
    pod.look()
    assert ship(pod) == ["first", "", "last"], "an empty line is an event"
