"""The index of followed files by their first bytes. The tests of the follower cover the other functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.input.rotation.rotated_file_matching import HeadIndex
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules
from sidecars.logshipper.state.file_state import FileState

_HEADS = st.text("ab", max_size=4).map(str.encode)


@given(st.lists(st.tuples(st.sampled_from(["/a", "/a/b", "/b"]), _HEADS)), _HEADS)
def test_the_files_that_begin_alike_are_those_of_the_directory_whose_heads_begin_with_the_bytes(
    files: list[tuple[str, bytes]], head: bytes
) -> None:
    tails = []
    for number, (folder, first) in enumerate(files):
        path = f"{folder}/{number}.log"
        tail = Tail(FileState(str(number), path, path, "", 1, number), CuttingRules(), {"sink": Ledger()}, 0.0)
        tail.head = first
        tails.append(tail)
    expected = {
        str(number) for number, (folder, first) in enumerate(files) if folder == "/a" and first.startswith(head)
    }
    assert set(steps.run(HeadIndex.of(tails)).alike("/a/new.log", head)) == expected
