"""A limit for the bytes that unfinished requests hold together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.accept.buffered_bytes import BufferedBytes


class Connection:
    def __init__(self) -> None:
        self.was_ended = False

    def end_for_memory(self) -> None:
        self.was_ended = True


def test_the_connection_that_holds_most_is_ended() -> None:
    buffered, small, large, new = BufferedBytes(100), Connection(), Connection(), Connection()
    buffered.note(small, 10)
    buffered.note(large, 90)
    buffered.note(new, 20)

    assert (small.was_ended, large.was_ended, new.was_ended) == (False, True, False)
    assert (buffered.held, buffered.ended) == (30, 1)


def test_of_equals_the_one_without_a_change_for_longest_is_ended() -> None:
    buffered = BufferedBytes(25)
    first, second, third = (Connection() for _ in range(3))
    buffered.note(first, 10)
    buffered.note(second, 10)
    buffered.note(first, 10)
    buffered.note(third, 10)

    assert [each.was_ended for each in (first, second, third)] == [False, True, False]


def test_a_connection_that_alone_holds_too_much_is_ended_at_once() -> None:
    buffered, connection = BufferedBytes(10), Connection()
    buffered.note(connection, 11)

    assert connection.was_ended
    assert buffered.held == 0


def test_bytes_that_are_used_up_count_no_more() -> None:
    buffered, one, other = BufferedBytes(10), Connection(), Connection()
    buffered.note(one, 10)
    buffered.note(one, 0)
    buffered.note(other, 10)

    assert [one.was_ended, other.was_ended] == [False, False]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60))))
def test_the_sum_is_that_of_the_connections_and_never_above_the_limit(notes: list[tuple[int, int]]) -> None:
    buffered, held = BufferedBytes(100), dict[Connection, int]()
    connections = [Connection() for _ in range(5)]
    for number, count in notes:
        connection = connections[number]
        if connection.was_ended:
            connection = connections[number] = Connection()
        held[connection] = count
        buffered.note(connection, count)
        held = {each: bytes_ for each, bytes_ in held.items() if not each.was_ended}
        assert buffered.held == sum(held.values()) <= 100
