"""Series that a response has, but without a value that can be used. No I/O.

`health` finds them in an app's JSON. A rule that selects such a series has no data: an unknown value is never healthy.
They stand beside the `Exposition`, which has only series with values, and are selected like its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecars.adapter.exposition.exposition import LabelTests


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A series without a usable value.

    reason       a phrase in our words, for logs and `/status`
    make_detail  makes `detail`: there may be thousands of values, and only one is shown
    """

    name: str
    labels: Mapping[str, str]
    reason: str
    make_detail: Callable[[], str]

    @property
    def detail(self) -> str:
        """The reason with the app's own text, bounded and escaped: for the prober, never for a log."""
        return self.make_detail()


class UnknownValues:
    """The unknown values of one response, by the name of the metric."""

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
        """Return the names of the metrics that have an unknown value."""
        return self._by_name

    def count(self, name: str) -> int:
        """Return the number of the metric's series without a usable value."""
        return len(self._by_name.get(name, ()))

    def find(self, name: str, tests: LabelTests) -> UnknownValue | None:
        """Return the first one of the metric's series whose labels pass all tests; None if there is none."""
        for one in self._by_name.get(name, ()):
            if all(test(one.labels.get(label, "")) for label, test in tests):
                return one
        return None


NONE_UNKNOWN = UnknownValues()
