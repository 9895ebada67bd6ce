"""Work in steps has the result of work in one go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model import steps


@given(st.lists(st.integers(0, 9), max_size=8), st.booleans())
def test_a_sort_in_steps_is_python_s_sort(few: list[int], reverse: bool) -> None:  # noqa: FBT001 - of hypothesis
    items = [(number, at) for at, number in enumerate(few * 400)]
    parts = steps.sort(items, lambda item: item[0], reverse=reverse)
    assert [next(parts) for _ in range(len(items) // 1000)] == [None] * (len(items) // 1000)
    assert steps.run(parts) == sorted(items, key=lambda item: item[0], reverse=reverse)


@given(st.lists(st.integers(0, 9), max_size=8))
def test_items_are_selected_a_thousand_at_a_step(few: list[int]) -> None:
    items = few * 400
    parts = steps.select(items, lambda number: number > 4)
    taken = max(0, len(items) - 1) // 1000
    assert [next(parts) for _ in range(taken)] == [None] * taken
    assert steps.run(parts) == [number for number in items if number > 4]
