"""The formats of the state: a snapshot and a journal are read as they were written, and torn ones are recognised."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH, START, Fingerprint
from sidecars.logshipper.model.times.event_times import FileTimes, Pass
from sidecars.logshipper.state import checkpoint, sent_batches
from sidecars.logshipper.state.checkpoint import JournalEntry, SinkState, State
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.sent_batches import ChunkRange, SentBatch

_SIZE = st.integers(0, 2**50)
_CONTENT = st.builds(
    lambda offset, length, digest: Fingerprint(offset, min(offset, length), digest),
    _SIZE,
    st.integers(0, PREFIX_LENGTH),
    st.text("0123456789abcdef", max_size=24),
)
_PATH = st.text(min_size=1, max_size=20).filter(lambda path: "\0" not in path)
_ID = st.text("0123456789abcdef", min_size=1, max_size=16)
_SINK = st.sampled_from(["default", "loki"])
_PASS = st.builds(Pass, _SIZE, st.integers(0, 2**40), st.integers(0, 1))
_FILE = st.builds(
    FileState,
    _ID,
    _PATH,
    _PATH,
    _PATH,
    _SIZE,
    _SIZE,
    _SIZE,
    _CONTENT,
    _CONTENT,
    st.dictionaries(_SINK, _CONTENT),
    identity=st.sampled_from(["", "h:1:00ff", "b:17"]),
    crc=st.integers(0, 2**32 - 1),
    crc_length=st.integers(1, 2**50),
    times=st.none() | st.builds(FileTimes, _SIZE, _SIZE, st.lists(_PASS, max_size=3).map(tuple)),
)
_RANGE = st.builds(
    lambda name, at, gap, length, kind, quota: ChunkRange(name, at, at + gap, at + gap + length, kind, quota),
    _ID,
    _SIZE,
    _SIZE,
    st.integers(0, 2**25),
    st.sampled_from(sent_batches.KINDS),
    st.none() | st.dictionaries(st.text("0f", min_size=12, max_size=12) | st.just(""), st.integers(-1, 99), min_size=1),
)
_NOTE = st.none() | st.just({"keys": ["a/b"], "template": "%Y/"})
_BATCH = st.builds(SentBatch, st.lists(_RANGE, max_size=3), st.integers(0, 2**63 - 1), _NOTE)
_STATE = st.builds(
    State,
    st.lists(_FILE, max_size=4).map(lambda files: {file.generation: file for file in files}),
    st.dictionaries(_SINK, st.builds(SinkState, st.lists(_BATCH, max_size=3), st.none() | st.just([1, 2, "x"]))),
    st.integers(0, 99),
)
_ENTRY = st.one_of(
    st.builds(checkpoint.file_entry, _FILE),
    st.builds(checkpoint.send_entry, _SINK, st.lists(_BATCH, max_size=3)),
    st.builds(checkpoint.done_entry, _SINK, st.dictionaries(_ID, _CONTENT, max_size=2), st.none()),
    st.builds(checkpoint.gone_entry, _ID),
)


@given(_STATE)
def test_a_snapshot_is_read_as_it_was_written(state: State) -> None:
    assert checkpoint.load(checkpoint.dump(state, state.journal)) == state


def test_a_large_snapshot_comes_in_pieces_without_a_gap_and_its_first_line_last() -> None:
    files = {
        f"{number:016x}": FileState(f"{number:016x}", "/a" * 50, "/a", "default", 1, number) for number in range(3000)
    }
    pieces = list(checkpoint.pieces(State(files), 7))
    *body, last = pieces
    end = 0
    for offset, piece in body:
        assert offset == end
        end += len(piece)
    assert len(body) > 3
    assert max(len(piece) for _, piece in body) < 300 * 1024
    assert (last[0], len(last[1])) == (0, len(body[0][1]))
    with pytest.raises(ValueError, match="torn"):
        checkpoint.load(b"".join(piece for _, piece in body))  # without the last one
    assert checkpoint.load(checkpoint.dump(State(files), 7)).files == files


@given(_STATE, st.data())
def test_a_torn_snapshot_is_refused_wherever_it_is_torn(state: State, data: st.DataObject) -> None:
    whole = checkpoint.dump(state, 1)
    torn = whole[: data.draw(st.integers(0, len(whole) - 2))]
    with pytest.raises(ValueError, match="torn"):
        checkpoint.load(torn)


@given(_STATE, st.data())
def test_a_snapshot_with_a_flipped_bit_is_refused_or_means_the_same(state: State, data: st.DataObject) -> None:
    whole = bytearray(checkpoint.dump(state, 1))
    begin = whole.index(b"\n") + 1
    whole[data.draw(st.integers(begin, len(whole) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="torn"):
        checkpoint.load(bytes(whole))


def test_a_newer_version_is_refused_by_its_number() -> None:
    newer = checkpoint.dump(State(), 1).replace(b'"version":1', b'"version":2')
    with pytest.raises(ValueError, match="version 2, and this logshipper reads version 1"):
        checkpoint.load(newer)


@given(st.lists(_ENTRY, max_size=6), st.data())
def test_a_torn_journal_gives_the_entries_before_the_tear(entries: list[JournalEntry], data: st.DataObject) -> None:
    lines = [checkpoint.journal_line(entry) for entry in entries]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    complete = sum(len(b"".join(lines[: count + 1])) <= cut for count in range(len(lines)))
    read = [checkpoint.journal_line(entry) for entry in checkpoint.journal_entries(BytesIO(whole[:cut]))]
    assert read == lines[:complete]


_LONE_FILE = FileState("0", "app.log", "app.log", "", 1, 2)


@given(_STATE, st.lists(_ENTRY, max_size=6))
@example(
    State(),
    [
        checkpoint.done_entry("default", {"0": START}, None),
        checkpoint.file_entry(_LONE_FILE),
        checkpoint.done_entry("loki", {"0": START}, None),
    ],
)
def test_replaying_a_journal_twice_ends_where_replaying_it_once_does(state: State, entries: list[JournalEntry]) -> None:
    """A journal may begin before the snapshot: while no snapshot can be written, the same journal continues.

    A position that stands before the entry of its file counts the second time only. The store writes none.
    """
    for entry in entries:
        checkpoint.apply(state, entry)
    once = {name: file.positions for name, file in state.files.items()}
    for entry in entries:
        checkpoint.apply(state, entry)
    twice = {name: file.positions for name, file in state.files.items()}
    for name, positions in once.items():
        for sink, position in positions.items():
            assert twice[name][sink] == position


def test_a_position_moves_with_done_and_not_with_send() -> None:
    state, mark = State(), Fingerprint(5, 5, "abc")
    file = FileState("f1", "/logs/a.log", "/logs/a.log", "default", 1, 2)
    checkpoint.apply(state, checkpoint.file_entry(file))
    checkpoint.apply(state, checkpoint.send_entry("default", [SentBatch([ChunkRange("f1", 0, 0, 5, False)], 7)]))
    assert state.files["f1"].positions == {}
    assert state.sinks["default"].sending == [SentBatch([ChunkRange("f1", 0, 0, 5, False)], 7)]
    checkpoint.apply(state, checkpoint.done_entry("default", {"f1": mark}, [7]))
    assert state.files["f1"].positions == {"default": mark}
    assert state.sinks["default"].receipt == [7]


def test_batches_of_a_version_that_wrote_ranges_alone_are_read() -> None:
    """0.1.0 before the instants: a batch of one range, and one of two."""
    state = State()
    checkpoint.apply(state, ["send", "default", [[["f1", 0, 0, 5, 0]], [["f1", 5, 5, 9, 1], ["f2", 0, 3, 8, 2]]]])
    assert state.sinks["default"].sending == [
        SentBatch([ChunkRange("f1", 0, 0, 5, 0)], 0),
        SentBatch([ChunkRange("f1", 5, 5, 9, 1), ChunkRange("f2", 0, 3, 8, 2)], 0),
    ]
    assert checkpoint.load(checkpoint.dump(state, 1)).sinks == state.sinks


@pytest.mark.parametrize(
    "body",
    [
        b'["file",{"id":"g"},[5,5,"a"],[5,5,"a"]]',
        b'["file",{"id":1,"name":"n","path":"p","input":"i","device":1,"inode":1},[5,5,"a"],[5,5,"a"]]',
        b'["done","s",{"g":[5,5]},null]',
        b'["done","s",{"g":[1000000000000,1000000000000,"a"]},null]',
        b'["send","s",[[["g",-1,0,5,false]]]]',
        b'["send","s",[[["g",1e999,0,5,false]]]]',
        b'["send","s",[[[["g",0,0,5,0]],-1]]]',
        b'["send","s",[[[["g",0,0,5,0]],true]]]',
        b'["send","s",[[[["g",0,0,5,0]],9223372036854775808]]]',
        b'["send","s",[[[["g",0,0,5]],1]]]',
        b'["send","s",[{"g":1}]]',
        b'["unknown"]',
        b"{}",
        b"no JSON",
        b"[" * 100_000,
    ],
)
def test_an_entry_with_a_right_checksum_and_a_wrong_content_is_refused(body: bytes) -> None:
    state = State(files={"g": FileState("g", "n", "p", "i", 1, 1)})
    line = b"%b %b\n" % (checkpoint._checksum(body).encode(), body)

    def replay() -> None:
        for entry in checkpoint.journal_entries([line]):
            checkpoint.apply(state, entry)

    with pytest.raises(ValueError, match="wrong content"):
        replay()
