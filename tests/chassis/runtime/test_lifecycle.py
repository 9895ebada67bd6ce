"""Exit codes and termination messages, without a program."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.lifecycle import (
    BadData,
    IOFailed,
    Unavailable,
    exit_code_of,
    failure_of,
    write_termination_message,
)
from sidecars.chassis.runtime.printable import printable


def test_where_there_is_no_termination_log_none_is_made(tmp_path: Path) -> None:
    place = tmp_path / "termination-log"

    write_termination_message("hello", str(place))

    assert not place.exists()


@given(st.text(min_size=1))
def test_a_long_message_is_cut_where_kubernetes_would_but_never_in_a_letter(words: str) -> None:
    message = words * 5000
    with tempfile.NamedTemporaryFile() as place:
        write_termination_message(message, place.name)
        left = Path(place.name).read_bytes()

    assert 4092 < len(left) <= 4096
    assert printable(message, keep="\n\t").startswith(left.decode())


def test_no_terminal_obeys_the_message(tmp_path: Path) -> None:
    place = tmp_path / "termination-log"
    place.touch()

    write_termination_message("shop.war: \x1b[2J is no name", str(place))

    assert place.read_text() == r"shop.war: \u001b[2J is no name"


def test_a_message_with_bytes_that_are_no_text_is_left_all_the_same(tmp_path: Path) -> None:
    """An error repeats a wrong value, and the environment may hold any bytes."""
    place = tmp_path / "termination-log"
    place.touch()

    write_termination_message("DEMO_COUNT=\udcff: expected a number", str(place))

    assert place.read_text() == r"DEMO_COUNT=\udcff: expected a number"


def test_a_failure_is_found_in_the_groups_of_task_groups() -> None:
    first = BadData("one", code="bad-archive")

    assert (
        failure_of(ExceptionGroup("a", [ExceptionGroup("b", [first]), Unavailable("two", code="stdout-closed")]))
        is first
    )


def test_a_group_with_a_defect_in_it_is_a_defect() -> None:
    assert failure_of(ExceptionGroup("a", [IOFailed("one", code="copy-differs"), KeyError("two")])) is None


def test_work_that_ends_well_is_0() -> None:
    assert exit_code_of(lambda: None, "/nowhere") == 0
