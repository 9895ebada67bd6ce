"""Convert one family of a page into families of a page in the other format, or in the same one. No I/O.

    text                    OpenMetrics
    counter x_total         counter x
    counter x               unknown x               OpenMetrics' counters end in _total, and no series is renamed
    untyped                 unknown
    gauge x_info            info x
    gauge                   gauge, stateset
    histogram, summary      the same
    histogram x             gaugehistogram x        its x_gcount and x_gsum are gauges in text
    gauge x_created         x_created of a counter, histogram or summary x

Only OpenMetrics has exemplars, and several points in time of one series. Text gets the last point. Exemplars are also
left out if there are UTF-8 names that have to be escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from sidecars.adapter.exposition.cancellation import Checkpoint
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.family import Family
from sidecars.adapter.exposition.labels import LabelParser, escape, split_quoted_name, unescape
from sidecars.adapter.rendering.escaping import escape_name, is_legacy_name, quote_name
from sidecars.adapter.rendering.negotiation import ExpositionFormat

_BOUNDS = {"histogram": ("_bucket", "le"), "gaugehistogram": ("_bucket", "le"), "summary": ("", "quantile")}
_TO_TEXT = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
_SEPARATE_IN_TEXT = ("_created", "_gcount", "_gsum")

SampleLines = tuple[str, bytes]
"""The name of a metric, and lines of its samples."""


@dataclass(slots=True)
class OutputFamily:
    """A family of the page that is written, with its samples' lines. `render` owns it. `help` is unescaped."""

    name: str
    type: str
    help: str
    unit: str = ""
    lines: list[SampleLines] = field(default_factory=list)

    def sample_names(self) -> set[str]:
        return {name for name, _ in self.lines}

    def is_typed(self) -> bool:
        """True if the type is known, or a sample has a suffix."""
        return self.type not in ("unknown", "untyped") or bool(self.sample_names() - {self.name})

    def split_untyped(self, *, openmetrics: bool) -> list[OutputFamily]:
        """Return the same samples as families of unknown type, one for each name."""
        families: dict[str, OutputFamily] = {}
        for name, line in self.lines:
            if name not in families:
                families[name] = OutputFamily(name, "unknown" if openmetrics else "untyped", self.help)
            families[name].lines.append((name, line))
        return list(families.values())

    def copy(self) -> OutputFamily:
        return OutputFamily(self.name, self.type, self.help, self.unit, list(self.lines))

    def merge(self, other: OutputFamily) -> None:
        """Add the same family of another app."""
        self.help = self.help or other.help
        self.unit = self.unit if self.unit == other.unit else ""
        self.lines += other.lines


@dataclass(slots=True)
class _SampleRow:
    """A sample that is converted: the suffix of its name, its labels with escaped values, the rest as it is written."""

    suffix: str
    labels: list[tuple[str, bytes]]
    value: bytes
    timestamp: bytes
    exemplar: bytes


class FamilyConverter:
    """Converts the families of one exposition, one by one. Adds the target labels to each series."""

    def __init__(
        self,
        source: Exposition,
        target_labels: Mapping[str, str],
        target: ExpositionFormat,
        checkpoint: Checkpoint,
    ) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._target = target
        self._target_labels = [(name, escape(value).encode()) for name, value in target_labels.items()]
        self._label_parser = LabelParser(openmetrics=source.openmetrics)
        self._same_format = source.openmetrics == target.openmetrics
        self._label_names: dict[str, bytes] = {}
        unescaped = target.escaping == "allow-utf-8" or not source.quoted_names
        self._exemplars = target.openmetrics and unescaped

    def convert(self, family: Family) -> list[OutputFamily]:
        """Return the family as families of the target format. Calls `checkpoint` between its blocks."""
        rows: Iterable[_SampleRow] = self._rows(family)  # one at a time if possible: pages can be large
        if family.repeated_series or not (self._same_format or self._target.openmetrics):
            rows = _last_points(rows)
        if not self._same_format:
            rows = _sort_bounds(rows, family.type)
        metadata = self._source.metadata(family)
        help_ = unescape(metadata.help)
        if self._same_format:
            return [self._output(family.name, family.name, family.type, help_, metadata.unit.decode(), rows)]
        if self._target.openmetrics:
            return [self._to_openmetrics(family, help_, rows)]
        return self._to_text(family, help_, list(rows))

    def _to_openmetrics(self, family: Family, help_: str, rows: Iterable[_SampleRow]) -> OutputFamily:
        kind = "unknown" if family.type == "untyped" else family.type
        if kind == "counter":
            base = family.name.removesuffix("_total")
            if base and base != family.name:
                return self._output(base, base, kind, help_, "", _with_suffix(rows, "_total"))
            kind = "unknown"
        return self._output(family.name, family.name, kind, help_, "", rows)

    def _to_text(self, family: Family, help_: str, rows: list[_SampleRow]) -> list[OutputFamily]:
        kind = _TO_TEXT.get(family.type, family.type)
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        own = [row for row in rows if row.suffix not in _SEPARATE_IN_TEXT]
        families = [self._output(family.name, family.name + suffix, kind, help_, "", own)] if own or not rows else []
        for separate in _SEPARATE_IN_TEXT:
            others = [row for row in rows if row.suffix == separate]
            if others:
                families.append(self._output(family.name, family.name + separate, "gauge", help_, "", others))
        return families

    def _output(
        self, base: str, name: str, kind: str, help_: str, unit: str, rows: Iterable[_SampleRow]
    ) -> OutputFamily:
        """Return a family with these rows. `name` is `base` with a suffix; `base` is escaped, the suffix is not."""
        scheme = self._target.escaping
        stem = escape_name(base, scheme)
        family = OutputFamily(stem + name[len(base) :], kind, help_, unit)
        for suffix, run in groupby(rows, lambda row: row.suffix):
            sample_name = stem + suffix
            family.lines.append((sample_name, b"".join([self._line(sample_name, row) for row in run])))
        return family

    def _line(self, sample_name: str, row: _SampleRow) -> bytes:
        labels = b",".join([b'%b="%b"' % (self._label_name(name), value) for name, value in row.labels])
        if not is_legacy_name(sample_name):
            start = b"{%b%b}" % (quote_name(sample_name).encode(), b"," + labels if labels else b"")
        else:
            start = sample_name.encode() + (b"{%b}" % labels if labels else b"")
        timestamp = b" " + self._timestamp(row.timestamp) if row.timestamp else b""
        exemplar = row.exemplar if self._exemplars else b""
        return b"%b %b%b%b\n" % (start, row.value, timestamp, exemplar)

    def _label_name(self, name: str) -> bytes:
        known = self._label_names.get(name)
        if known is None:
            text = escape_name(name, self._target.escaping, label=True)
            known = (text if is_legacy_name(text, label=True) else quote_name(text)).encode()
            self._label_names[name] = known
        return known

    def _timestamp(self, raw: bytes) -> bytes:
        if self._same_format:
            return raw
        if self._target.openmetrics:
            return repr(int(raw) / 1000).encode()
        return b"%d" % round(float(raw) * 1000)

    def _rows(self, family: Family) -> Iterator[_SampleRow]:
        source, cut = self._source, len(family.name)
        for block in source.rows(family):
            self._checkpoint()
            for _, name, raw_labels, value, timestamp, exemplar, *_rest in block:
                if not value:
                    continue
                raw_name = name
                if not name:
                    raw_name, raw_labels = split_quoted_name(raw_labels)  # noqa: PLW2901 - the same, without the name
                kept = exemplar if family.valid_exemplars else b""
                yield _SampleRow(raw_name.decode()[cut:], self._labels(raw_labels), value, timestamp, kept)

    def _labels(self, raw_labels: bytes) -> list[tuple[str, bytes]]:
        """Return the labels of a series and the target labels.

        A label of the series that has a target label's name becomes `exported_<name>`, as in Prometheus.
        """
        shape, values = self._label_parser.parse(raw_labels)
        labels = [(name.decode(), self._value(value)) for name, value in zip(shape.names, values, strict=True)]
        for name, value in self._target_labels:
            taken = {known for known, _ in labels}
            if name in taken:
                exported = f"exported_{name}"
                while exported in taken:
                    exported = f"exported_{exported}"
                labels = [(exported if known == name else known, text) for known, text in labels]
            labels.append((name, value))
        return labels

    def _value(self, raw: bytes) -> bytes:
        """Return a label's value in the target's escapes: text has only three, and other backslashes are escaped."""
        if self._target.openmetrics or b"\\" not in raw:
            return raw
        return escape(unescape(raw)).encode()


def _with_suffix(rows: Iterable[_SampleRow], suffix: str) -> Iterator[_SampleRow]:
    for row in rows:
        row.suffix = suffix
        yield row


def _last_points(rows: Iterable[_SampleRow]) -> list[_SampleRow]:
    """Return the last point in time of each series, at the place of its first one."""
    last: dict[tuple[str, tuple[tuple[str, bytes], ...]], _SampleRow] = {}
    for row in rows:
        last[row.suffix, tuple(sorted(row.labels))] = row
    return list(last.values())


def _sort_bounds(rows: Iterable[_SampleRow], kind: str) -> Iterable[_SampleRow]:
    """Sort the rows of a histogram or summary for both formats: by label set, in it the bounds first, increasing."""
    if kind not in _BOUNDS:
        return rows
    suffix, label = _BOUNDS[kind]
    groups: dict[tuple[tuple[str, bytes], ...], int] = {}

    def place(row: _SampleRow) -> tuple[int, bool, float]:
        bounded = row.suffix == suffix
        key = tuple(sorted(pair for pair in row.labels if not bounded or pair[0] != label))
        bound = dict(row.labels).get(label, b"0") if bounded else b"0"
        return groups.setdefault(key, len(groups)), not bounded, float(bound)

    return sorted(rows, key=place)
