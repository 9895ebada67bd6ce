"""The fair queue: against a model with plain lists, and the shares that it gives."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.admission.fair_queue import FairQueue
from tests.support import examples


def test_clients_take_turns_and_the_line_of_each_keeps_its_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for key, item in (("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("c", "c1")):
        queue.push(key, item)
    assert [queue.pop() for _ in range(5)] == ["a1", "b1", "c1", "a2", "a3"]


def test_the_longest_line_makes_room_and_a_line_as_long_does_not() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.push("greedy", f"g{number}")
    assert queue.can_evict_for("modest")
    assert not queue.can_evict_for("greedy")
    assert queue.evict() == "g2"
    queue.push("modest", "m0")
    assert not queue.can_evict_for("modest")
    assert queue.can_evict_for("third") is True
    queue.evict()
    assert queue.can_evict_for("third") is False


STEPS = st.lists(st.tuples(st.sampled_from(["push", "push", "pop", "evict", "again"]), st.sampled_from("abcd")))


@given(STEPS)
def test_it_does_what_a_model_of_lists_does(steps: list[tuple[str, str]]) -> None:
    queue: FairQueue[int] = FairQueue()
    lines: dict[str, list[int]] = {}
    for number, (step, key) in enumerate(steps):
        longest = max(map(len, lines.values()), default=0)
        assert queue.size == sum(map(len, lines.values()))
        assert queue.can_evict_for(key) == (longest > len(lines.get(key, ())) + 1)
        if step == "push":
            queue.push(key, number)
            lines.setdefault(key, []).append(number)
        elif step == "pop" and lines:
            first = next(iter(lines))
            line = lines.pop(first)
            assert queue.pop() == line.pop(0)
            if line:
                lines[first] = line
        elif step == "evict" and longest > 1:
            taken = queue.evict()
            (owner,) = [each for each, line in lines.items() if line[-1] == taken]
            assert len(lines[owner]) == longest
            lines[owner].pop()
        elif step == "again":
            items = queue.items()
            assert items == [(each, item) for each, line in lines.items() for item in line]
            queue.clear()
            assert not queue.size
            for each, item in items:
                queue.push(each, item)


@examples(40)
@given(st.dictionaries(st.integers(0, 9), st.integers(1, 20), min_size=1), st.integers(1, 30))
def test_shares_are_equal_but_for_those_who_want_less(rates: dict[int, int], places: int) -> None:
    """Each round every client brings its items, and the upstream takes as many as there are clients."""
    queue: FairQueue[int] = FairQueue()
    served: Counter[int] = Counter()
    rounds = 20
    for _ in range(rounds):
        for key, rate in rates.items():
            for _ in range(rate):
                if queue.size >= max(places, len(rates)):
                    if not queue.can_evict_for(key):
                        continue
                    queue.evict()
                queue.push(key, key)
        for _ in range(min(len(rates), queue.size)):
            served[queue.pop()] += 1
    for key in rates:
        assert served[key] >= rounds - 2 * len(rates), (rates, served)
