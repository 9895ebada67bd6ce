"""A sample: one series with its value. Its labels are parsed on demand. No I/O.

A rule such as `max(request_seconds)` reads thousands of values and no label. So a sample keeps its label set as it is
written in the page, and most samples are never asked for their labels.
"""

from __future__ import annotations

from sidecars.adapter.exposition.labels import LabelParser, Labels, escape, label_set


class Sample:
    """A sample of an instant vector. Immutable, apart from the labels that are parsed on demand.

    name        the metric's name; "" if an operation has dropped it
    raw_labels  the label set as it is written in the page, None if the sample is not from a page. Two samples of one
                name and equal `raw_labels` are the same series
    timestamp   in Unix seconds, None if the page gives none

    Either `labels` are given, or `raw_labels` and the parser that reads them.
    """

    __slots__ = ("_labels", "_parser", "name", "raw_labels", "timestamp", "value")

    def __init__(
        self,
        name: str,
        labels: Labels | None,
        value: float,
        timestamp: float | None = None,
        raw_labels: bytes | None = None,
        parser: LabelParser | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.timestamp = timestamp
        self.raw_labels = raw_labels
        self._labels = labels
        self._parser = parser

    @property
    def labels(self) -> Labels:
        if self._labels is None:
            self._labels = label_set(*self._parser.parse(self.raw_labels)) if self._parser and self.raw_labels else ()
        return self._labels

    def derive(self, value: float) -> Sample:
        """Return a sample with the same labels and another value. It has no name, as the result of an operation."""
        return Sample("", self._labels, value, None, self.raw_labels, self._parser)

    def notation(self) -> str:
        """Return the series as `name{label="value"}`, printable; "" without name and labels."""
        if not self.labels:
            return self.name
        pairs = ",".join([f'{name}="{_printable(value)}"' for name, value in self.labels])
        return f"{self.name}{{{pairs}}}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        mine = (self.name, self.labels, self.value, self.timestamp)
        return mine == (other.name, other.labels, other.value, other.timestamp)

    __hash__ = None  # type: ignore[assignment] # a sample is not a key: NaN is not equal to itself

    def __repr__(self) -> str:
        return f"Sample({self.name!r}, {self.labels!r}, {self.value!r}, {self.timestamp!r})"


def _printable(value: str) -> str:
    """Escape a label's value, so that nothing in it moves a terminal's cursor."""
    escaped = escape(value)
    if escaped.isprintable():
        return escaped
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in escaped)
