"""When a file that scans have missed is gone, and which new file may be it."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.rotation.missed_files import LEAST, MissedFiles
from sidecars.logshipper.model.fingerprint import ReadAt, position_fingerprint, prefix_fingerprint
from sidecars.logshipper.state.file_state import FileState
from tests.support import examples

TEXT = b"a line of the log, long enough to tell it from others\n" * 3
PATH = "/logs/app.log"


def generation(name: str = "g", content: bytes = TEXT, inode: int = 7, path: str = PATH) -> FileState:
    state = FileState(name, path, path, "default", 1, inode, len(content))
    state.prefix = prefix_fingerprint(content)
    state.seen = position_fingerprint(len(content), content)
    return state


def reading(content: bytes) -> ReadAt:
    return lambda offset, length: content[offset : offset + length]


def found(inode: int, content: bytes = TEXT, path: str = f"{PATH}.1") -> FoundFile:
    return FoundFile(path, "default", (1, inode), len(content), 0)


@given(st.lists(st.floats(0, 20), max_size=12), st.floats(0, 30))
@examples(100)
def test_a_file_is_gone_once_enough_scans_have_missed_it_for_rotate_wait(pauses: list[float], wait: float) -> None:
    missed, now = MissedFiles(wait), 0.0
    for count, pause in enumerate([0.0, *pauses], 1):
        now += pause
        missed.note(generation(), now)
        assert missed.is_gone("g", now) == (count >= LEAST and now >= wait)


def test_a_file_that_was_found_in_between_is_missed_anew() -> None:
    missed = MissedFiles(0.0)
    for _ in range(LEAST):
        missed.note(generation(), 0.0)
    missed.keep_only(())
    assert not missed.is_gone("g", 0.0)
    missed.note(generation(), 0.0)
    assert not missed.is_gone("g", 0.0)


def test_a_new_file_with_the_inode_and_the_content_is_the_missed_one_whatever_its_name_is() -> None:
    missed, state = MissedFiles(30.0), generation()
    missed.note(state, 0.0)
    assert missed.generation_of(found(7, path="/elsewhere/x"), reading(TEXT)) is state
    assert missed.generation_of(found(7, TEXT + b"more\n"), reading(TEXT + b"more\n")) is state


def test_a_new_file_with_the_inode_and_another_content_is_another_file() -> None:
    missed = MissedFiles(30.0)
    missed.note(generation(), 0.0)
    other = b"x" * len(TEXT)
    assert missed.generation_of(found(7, other), reading(other)) is None
    assert missed.generation_of(found(7, TEXT[:-1]), reading(TEXT[:-1])) is None


def test_a_new_file_with_the_content_alone_may_be_its_copy_only_beside_it() -> None:
    missed, state = MissedFiles(30.0), generation()
    missed.note(state, 0.0)
    assert missed.generation_of(found(8), reading(TEXT)) is state
    assert missed.generation_of(found(8, path="/logs/other.log"), reading(TEXT)) is None
    assert missed.generation_of(found(8, path="/else/app.log"), reading(TEXT)) is None


@given(st.data())
@examples(50)
def test_of_many_missed_files_the_one_of_the_inode_comes_first(data: st.DataObject) -> None:
    contents = data.draw(st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=6))
    missed = MissedFiles(30.0)
    states = [generation(str(number), content, inode=number) for number, content in enumerate(contents)]
    for state in states:
        missed.note(state, 0.0)
    gone = data.draw(st.sets(st.sampled_from([state.generation for state in states])))
    missed.keep_only([state.generation for state in states if state.generation not in gone])
    for state, content in zip(states, contents, strict=True):
        match = missed.generation_of(found(state.inode, content), reading(content))
        if state.generation not in gone:
            assert match is state
        elif match is not None:
            assert match.generation not in gone
            assert content.startswith(contents[int(match.generation)])
