"""The order in which one sink reads its files: groups of files in turns, each with the same number of bytes in a round.

Theory of operation (deficit round robin, M. Shreedhar and G. Varghese, 1995). In its turn a group may give `quantum`
bytes, from one file after the other. Its turn ends when they are used, or when no file of it has more. A group with
little to say says all of it in one turn; one with a backlog waits until all others had theirs. So the time that a quiet
group waits depends on the number of groups and not on the backlog of any. An event may be longer than the rest of a
quantum: it is read as a whole, and its group owes the bytes to the next rounds.

Pure: it knows no files, only items with names and groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from sidecars.logshipper.delivery.turns.name_turns import NameTurns

T = TypeVar("T")


class _Group(Generic[T]):
    """The items of a group that are still to be read in a batch."""

    __slots__ = ("credit", "items", "key")

    def __init__(self, key: Hashable, debt: int) -> None:
        self.key = key
        self.items: deque[tuple[str, T]] = deque()
        self.credit = -debt  # bytes


class FairTurns(NameTurns[T]):
    """The turns of one sink, by groups. `group_of` returns the group of an item."""

    def __init__(self, group_of: Callable[[T], Hashable]) -> None:
        super().__init__()
        self._group_of = group_of
        self._groups: deque[_Group[T]] = deque()  # the first one has its turn
        self._is_in_turn = False  # True if the first group has its bytes
        self._last_group: Hashable = None
        self._last_names: dict[Hashable, str] = {}  # group -> name of its item that was read last
        self._debts: dict[Hashable, int] = {}  # group -> bytes

    def __bool__(self) -> bool:
        return bool(self._groups)

    def fill(self, items: Mapping[str, T], quantum: int) -> None:
        """Take the items of a batch. The group that was read last comes last, and so does its last item in it."""
        self.fill_by_age(items, quantum)
        for group in self._groups:
            names = [name for name, _ in group.items]
            if (last := self._last_names.get(group.key)) in names:
                group.items.rotate(-names.index(last) - 1)

    def fill_by_age(self, items: Mapping[str, T], quantum: int) -> None:
        """Take the items of a batch: those of a group in this order, the groups in turns as ever.

        The group with the oldest bytes cannot come first: it is the one with the largest backlog.
        """
        groups: dict[Hashable, _Group[T]] = {}
        for name, item in items.items():
            key = self._group_of(item)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(key, self._debts.get(key, 0))
            group.items.append((name, item))
        self._debts = {key: debt for key, debt in self._debts.items() if key in groups}
        self._last_names = {key: name for key, name in self._last_names.items() if key in groups}
        self._groups, self._quantum, self._is_in_turn = deque(groups.values()), quantum, False
        if self._last_group in groups:
            self._groups.rotate(-list(groups).index(self._last_group) - 1)

    def next(self) -> tuple[T, int]:
        """Return the item to read next, and the bytes that its group has left. Raises IndexError if none is left."""
        while not self._is_in_turn:
            group = self._groups[0]
            group.credit = min(self._quantum, group.credit + self._quantum)
            self._is_in_turn = group.credit > 0
            if not self._is_in_turn:
                self._groups.rotate(-1)
        group = self._groups[0]
        return group.items[0][1], group.credit

    def read(self, size: int, *, has_more: bool) -> None:
        group = self._groups[0]
        name, item = group.items.popleft()
        group.credit -= size
        self._last_group, self._last_names[group.key] = group.key, name
        if has_more:
            group.items.append((name, item))
        if has_more or group.credit <= 0 or not group.items:
            self._end_turn()

    def skip(self) -> None:
        group = self._groups[0]
        group.items.popleft()
        if not group.items:
            self._end_turn()

    def clear(self) -> None:
        self._groups.clear()
        self._is_in_turn = False

    def _end_turn(self) -> None:
        """Let the next group have its turn. Bytes that were not used are not kept, those that are owed are."""
        group = self._groups.popleft()
        group.credit = min(0, group.credit)
        if group.credit:
            self._debts[group.key] = -group.credit
        else:
            self._debts.pop(group.key, None)
        if group.items:
            self._groups.append(group)
        self._is_in_turn = False
