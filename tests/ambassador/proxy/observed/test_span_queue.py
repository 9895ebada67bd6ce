"""The queue of spans: its bytes are bounded, and every span is counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.proxy.observed.span_queue import BATCH, LIMIT, SpanQueue
from tests.support import examples


def test_what_finds_no_room_is_dropped_and_counted_and_what_waits_stays() -> None:
    queue = SpanQueue()
    for _ in range(100):
        queue.put(b"x" * (LIMIT // 10), 3)
    assert (queue.held, queue.dropped) == (LIMIT // 10 * 10, 90 * 3)


def test_the_exporter_is_woken_by_the_first_spans_and_hurried_by_many() -> None:
    called: list[str] = []
    queue = SpanQueue(lambda: called.append("wake"), lambda: called.append("hurry"))
    queue.put(b"x", 1)
    queue.put(b"x", 1)
    assert called == ["wake"]
    queue.put(b"x" * BATCH, 1)
    assert called == ["wake", "hurry"]


@given(st.lists(st.tuples(st.integers(1, BATCH + 10), st.integers(1, 5)), max_size=30))
@examples(100)
def test_batches_are_bounded_and_all_spans_are_taken_or_dropped(items: list[tuple[int, int]]) -> None:
    queue, taken = SpanQueue(), 0
    for size, count in items:
        queue.put(bytes(size), count)
        assert queue.held <= LIMIT
    while queue.held:
        batch, count = queue.take()
        assert len(batch) == 1 or sum(map(len, batch)) <= BATCH
        taken += count
    assert taken + queue.dropped == sum(count for _, count in items)
