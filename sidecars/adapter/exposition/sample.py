"""One series and its value, whose labels are read when somebody asks for them. No I/O.

A rule such as `max(request_seconds)` looks at thousands of values and at no label, so that a sample keeps its labels as
they are written, and mostly goes without ever having read them.
"""

from __future__ import annotations

from sidecars.adapter.exposition.labels import Labels, Shapes, labels_of


class Sample:
    """One series and its value. `timestamp` is in Unix seconds, None where the page gives none.

    `name` is "" where the value has been calculated. `raw` is the label set as it is written, None where it is not from
    a page: what is written alike is the same series. Either the labels are given, or `raw` and what reads it.
    """

    __slots__ = ("_labels", "_shapes", "name", "raw", "timestamp", "value")

    def __init__(
        self,
        name: str,
        labels: Labels | None,
        value: float,
        timestamp: float | None = None,
        raw: bytes | None = None,
        shapes: Shapes | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.timestamp = timestamp
        self.raw = raw
        self._labels = labels
        self._shapes = shapes

    @property
    def labels(self) -> Labels:
        if self._labels is None:
            self._labels = labels_of(*self._shapes.of(self.raw)) if self._shapes and self.raw else ()
        return self._labels

    def calculated(self, value: float) -> Sample:
        """Another value of the same labels; it has no name any more."""
        return Sample("", self._labels, value, None, self.raw, self._shapes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        mine = (self.name, self.labels, self.value, self.timestamp)
        return mine == (other.name, other.labels, other.value, other.timestamp)

    __hash__ = None  # type: ignore[assignment] # a value is nothing to find a sample by

    def __repr__(self) -> str:
        return f"Sample({self.name!r}, {self.labels!r}, {self.value!r}, {self.timestamp!r})"
