"""The note of the last batch, in the metadata of an offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.kafka.protocol import progress
from sidecars.logshipper.sinks.kafka.protocol.progress import Progress

HEX = st.text("0123456789abcdef", min_size=1, max_size=32)


@given(st.integers(0, 2**62), HEX, st.integers(0, 10**18 - 1), HEX, st.sets(st.integers(0, 20_000), max_size=50))
def test_a_note_is_read_as_it_was_written(number: int, key: str, claim: int, instance: str, rejected: set[int]) -> None:
    note = Progress(number, key, claim, instance, tuple(sorted(rejected)))
    assert progress.parse(number, note.metadata()) == note


@given(st.text(max_size=200))
def test_a_text_of_others_says_nothing_but_its_number(text: str) -> None:
    found = progress.parse(5, text)
    assert found.number == 5
    assert found == Progress(5) or found.claim >= 0


def test_a_note_of_a_batch_fits_into_the_metadata() -> None:
    every_second = Progress(1, "0" * 32, 1, "0" * 16, tuple(range(0, 20_000, 2)))
    assert len(every_second.metadata()) <= progress.MAX_METADATA


def test_the_newest_note_counts() -> None:
    texts = [(3, "aa 1.x"), (7, "bb 2.y"), (-1, ""), (5, "cc 3.z")]
    assert progress.newest(texts) == Progress(7, "bb", 2, "y")
    assert progress.newest([(-1, "")]) == Progress()


def test_a_bomb_is_not_unpacked() -> None:
    bomb = progress._packed([8 * 64 * 1024 * 100])
    assert len(progress.parse(1, f"aa 1.x {bomb}").rejected) == 0
