"""Series that an answer has, but without a value that can be used. No I/O.

A rule that selects such a series has no data: what is not understood is never healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecars.adapter.exposition.exposition import Conditions


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A series without a usable value.

    reason   why, in our words: a phrase for logs and `/status`
    tell     makes `words`: there may be thousands of values, and one is told
    """

    name: str
    labels: Mapping[str, str]
    reason: str
    tell: Callable[[], str]

    @property
    def words(self) -> str:
        """The reason with what the app has sent, bounded and escaped: for the prober, never for a log."""
        return self.tell()


class UnknownValues:
    """The unknown values of one answer, by the name of the metric."""

    def __init__(self, unknown: Iterable[UnknownValue] = ()) -> None:
        self._by_name: dict[str, list[UnknownValue]] = {}
        for one in unknown:
            self._by_name.setdefault(one.name, []).append(one)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def __iter__(self) -> Iterator[UnknownValue]:
        for unknown in self._by_name.values():
            yield from unknown

    def names(self) -> Iterable[str]:
        """The metrics that have one."""
        return self._by_name

    def count(self, name: str) -> int:
        """The number of the metric's series that cannot be used."""
        return len(self._by_name.get(name, ()))

    def find(self, name: str, conditions: Conditions) -> UnknownValue | None:
        """Return the first one of the metric's series that meet all conditions; None without any."""
        for one in self._by_name.get(name, ()):
            if all(test(one.labels.get(label, "")) for label, test in conditions):
                return one
        return None


NONE_UNKNOWN = UnknownValues()
