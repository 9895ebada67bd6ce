"""Groups of files in turns: each has the same bytes in a round, however much any of them has."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.turns.fair_turns import FairTurns

QUANTUM = 100


class Backlog:
    """Files with events to read. The name of a file is `group/file`."""

    def __init__(self, **events: list[int]) -> None:
        self.events = {name.replace("_", "/"): list(sizes) for name, sizes in events.items()}
        self.turns = FairTurns[str](lambda name: name.split("/")[0])

    def batch(self, room: int) -> list[tuple[str, int]]:
        """Read as `SinkQueue` does: whole events, the first one of a turn whatever its size is."""
        if not self.turns:
            self.turns.fill({name: name for name, left in self.events.items() if left}, QUANTUM)
        got: list[tuple[str, int]] = []
        while self.turns and room > 0:
            name, credit = self.turns.next()
            left, size = self.events[name], 0
            while left and (not size or size + left[0] <= min(room, credit)):
                size += left.pop(0)
            room -= size
            got.append((name, size))
            self.turns.read(size, has_more=bool(left) and room > 0)
        self.turns.clear()
        return got


def test_a_quiet_group_waits_for_one_round_whatever_the_backlog_of_the_others_is() -> None:
    noisy = {f"noisy{n}_a": [10] * 1000 for n in range(10)}
    backlog = Backlog(**noisy, quiet_a=[10])
    read: list[str] = []
    while "quiet/a" not in read:
        read += [name for name, _ in backlog.batch(500)]
    assert read.index("quiet/a") <= 10
    assert max(Counter(read[:11]).values()) == 1


def test_the_files_of_a_group_share_its_turn() -> None:
    backlog = Backlog(**{f"many_{n}": [10] * 100 for n in range(20)}, one_a=[10] * 100)
    read: Counter[str] = Counter()
    for _ in range(6):
        for name, size in backlog.batch(200):
            read[name.split("/")[0]] += size
    assert read["many"] == read["one"] == 600


def test_small_files_of_a_group_are_read_in_one_turn_and_each_one_has_its_turn() -> None:
    backlog = Backlog(**{f"many_{n}": [10] * 10 for n in range(4)}, one_a=[100] * 10)
    assert [name for name, _ in backlog.batch(100_000)][:3] == ["many/0", "one/a", "many/1"]
    quiet = Backlog(**{f"quiet_{n}": [10] for n in range(4)}, one_a=[100] * 10)
    assert [name for name, _ in quiet.batch(100_000)][:5] == ["quiet/0", "quiet/1", "quiet/2", "quiet/3", "one/a"]


def test_a_group_with_an_event_that_is_longer_than_its_bytes_waits_for_the_rounds_that_it_took() -> None:
    backlog = Backlog(long_a=[1000, 10], short_a=[100] * 20)
    read = backlog.batch(100_000)
    assert read[0] == ("long/a", 1000)
    again = read.index(("long/a", 10))
    assert sum(size for name, size in read[:again] if name == "short/a") >= 1000


def test_a_debt_is_owed_in_the_next_batch_too_and_no_longer_than_the_group_has_something_to_read() -> None:
    backlog = Backlog(long_a=[1000, 10, 10], short_a=[100] * 30)
    backlog.batch(1000)
    assert {name for name, _ in backlog.batch(500)} == {"short/a"}
    backlog.events["long/a"] = []
    backlog.batch(100)
    backlog.events["long/a"] = [10]
    assert ("long/a", 10) in backlog.batch(200)


@given(
    st.dictionaries(
        st.sampled_from([f"{group}_{name}" for group in "abc" for name in "xyz"]),
        st.lists(st.integers(1, 300), min_size=1, max_size=30),
        min_size=1,
    ),
    st.integers(1, 2000),
)
def test_everything_is_read_once_and_no_group_that_waits_falls_far_behind_another_one(
    files: dict[str, list[int]], room: int
) -> None:
    backlog = Backlog(**files)
    read: defaultdict[str, int] = defaultdict(int)
    while any(backlog.events.values()):
        for name, size in backlog.batch(room):
            read[name.split("/")[0]] += size
        ahead = [read[name.split("/")[0]] for name, left in backlog.events.items() if left]
        if ahead and room >= 3 * (QUANTUM + 300):
            assert max(ahead) - min(ahead) <= 2 * (QUANTUM + 300)
    wanted: defaultdict[str, int] = defaultdict(int)
    for name, sizes in files.items():
        wanted[name.split("_")[0]] += sum(sizes)
    assert read == wanted
