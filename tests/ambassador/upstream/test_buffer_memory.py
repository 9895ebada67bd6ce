"""The budget of buffered bytes: what counts, when it is short, and that no exchange waits for another one's bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.ambassador.upstream.buffer_memory import SHARE, BufferMemory, Untaken

MIB = 1024 * 1024


class Connection:
    def __init__(self, memory: BufferMemory) -> None:
        self.memory = memory
        self.is_small = False

    def read_small(self) -> None:
        assert self.memory.add_small(self) is not self.is_small
        self.is_small = True

    def read_large(self) -> None:
        self.is_small = False


def budget() -> tuple[BufferMemory, Connection]:
    memory = BufferMemory(8 * MIB, 64 * 1024)
    connection = Connection(memory)
    memory.serve(connection)
    return memory, connection


def test_reads_are_small_from_when_little_is_left_until_half_of_it_is_free() -> None:
    memory, connection = budget()
    quarter = memory.limit // 4
    seen = []
    for change in (memory.limit - MIB, 1, -quarter, -2 * quarter):
        memory.change(change)
        seen.append(connection.is_small)
    assert seen == [False, True, True, False]
    assert memory.shortages == 1


def test_a_connection_that_is_gone_is_read_no_more() -> None:
    memory, connection = budget()
    memory.change(memory.limit)
    memory.forget(connection)
    memory.change(-memory.limit)
    assert connection.is_small  # nobody has told it


def test_a_write_counts_whole_until_its_last_byte_is_taken_and_a_small_one_does_not() -> None:
    memory, _ = budget()
    untaken = Untaken(memory)
    untaken.note_write(SHARE)
    untaken.note_full()
    assert memory.held == 0
    untaken.note_write(100_000)  # behind it
    untaken.note_write(1)
    assert memory.held == 100_000
    untaken.note_taken()
    untaken.note_write(100_000)  # taken at once
    untaken.note_write(50_000)
    untaken.note_full()
    assert memory.held == 50_000
    untaken.note_taken()
    untaken.note_taken()
    assert memory.held == 0


def test_large_heads_are_refused_while_memory_is_short_and_small_ones_are_not() -> None:
    memory, _ = budget()
    assert not memory.refuse(60_000)
    memory.change(memory.limit)
    assert memory.refuse(60_000)
    assert not memory.refuse(SHARE)
    assert memory.refused == 1


class Stream:
    """A body on its way between two peers, as the proxy passes it on: it is not read while its reader is stalled."""

    def __init__(self, memory: BufferMemory) -> None:
        self.untaken = Untaken(memory)
        self.memory = memory
        self.kept = 0  # bytes that the transport really keeps
        self.passed = 0

    def may_read(self) -> bool:
        return not self.kept

    def read(self, size: int, *, is_taken: bool) -> None:
        size = min(size, SHARE) if self.memory.is_short else size
        self.untaken.note_write(size)
        self.passed += size
        if not is_taken:
            self.kept = size
            self.untaken.note_full()

    def take(self) -> None:
        self.kept = 0
        self.untaken.note_taken()


STREAMS = 64
READ = 256 * 1024
STEPS = st.lists(st.tuples(st.integers(0, STREAMS - 1), st.integers(1, READ), st.booleans()), max_size=300)


@settings(deadline=None)
@given(STEPS, st.lists(st.integers(0, STREAMS - 1), unique=True))
def test_whatever_stalls_the_sum_has_a_maximum_and_each_stream_whose_reader_reads_goes_on(
    steps: list[tuple[int, int, bool]], reading: list[int]
) -> None:
    memory, _ = budget()
    streams = [Stream(memory) for _ in range(STREAMS)]
    most = memory.limit + STREAMS * SHARE
    for number, size, is_taken in steps:
        stream = streams[number]
        if stream.may_read():
            stream.read(size, is_taken=is_taken)
        assert sum(each.kept for each in streams) <= most
    for stream in streams:  # all of them stall
        if stream.may_read():
            stream.read(READ, is_taken=False)
        assert sum(each.kept for each in streams) <= most
    for number in reading:  # and of some the reader reads again: none of them waits for the others
        before = streams[number].passed
        streams[number].take()
        assert streams[number].may_read()
        streams[number].read(READ, is_taken=True)
        assert streams[number].passed > before
    for stream in streams:
        stream.take()
    assert (memory.held, memory.is_short) == (0, False)
