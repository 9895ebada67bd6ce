"""One family of a page as the families of a page in the other format, or in the same one. No I/O.

    text                    OpenMetrics
    counter x_total         counter x
    counter x               unknown x               OpenMetrics's counters end in _total, and no series is renamed
    untyped                 unknown
    gauge x_info            info x
    gauge                   gauge, stateset
    histogram, summary      the same
    histogram x             gaugehistogram x        its x_gcount and x_gsum are gauges in text
    gauge x_created         x_created of a counter, histogram or summary x

Exemplars and points in time but the last one exist in OpenMetrics only. Exemplars are left out, too, where there are
UTF-8 names that have to be escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from sidecars.adapter.exposition.cancellation import Checkpoint
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.family_parser import Family
from sidecars.adapter.exposition.labels import Shapes, quoted_name, unescaped
from sidecars.adapter.rendering.escaping import escaped, is_old, quoted
from sidecars.adapter.rendering.negotiation import ExpositionFormat

_OWN = {"histogram": ("_bucket", "le"), "gaugehistogram": ("_bucket", "le"), "summary": ("", "quantile")}
_TO_TEXT = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
_APART_IN_TEXT = ("_created", "_gcount", "_gsum")

Lines = tuple[str, bytes]
"""A sample's name, and lines of it."""


@dataclass(slots=True)
class Block:
    """A family of the page to be: its name, type, help (plain), unit, and its lines in their order."""

    name: str
    kind: str
    help: str
    unit: str = ""
    lines: list[Lines] = field(default_factory=list)

    def samples(self) -> set[str]:
        """The names of its samples."""
        return {name for name, _ in self.lines}

    def is_typed(self) -> bool:
        return self.kind not in ("unknown", "untyped") or bool(self.samples() - {self.name})

    def untyped(self, openmetrics: bool) -> list[Block]:  # noqa: FBT001 - the one thing that it depends on
        """The same samples as families of unknown type, one for each name."""
        blocks: dict[str, Block] = {}
        for name, line in self.lines:
            if name not in blocks:
                blocks[name] = Block(name, "unknown" if openmetrics else "untyped", self.help)
            blocks[name].lines.append((name, line))
        return list(blocks.values())

    def copy(self) -> Block:
        return Block(self.name, self.kind, self.help, self.unit, list(self.lines))

    def add(self, other: Block) -> None:
        """The same family of another app."""
        self.help = self.help or other.help
        self.unit = self.unit if self.unit == other.unit else ""
        self.lines += other.lines


@dataclass(slots=True)
class _Row:
    """A sample on its way: its suffix to the family's name, labels with escaped values, the rest as it is written."""

    suffix: str
    labels: list[tuple[str, bytes]]
    value: bytes
    timestamp: bytes
    exemplar: bytes


class Converter:
    """Converts the families of one exposition."""

    def __init__(
        self, source: Exposition, added: Mapping[str, str], target: ExpositionFormat, checkpoint: Checkpoint
    ) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._target = target
        self._added = [(name, quoted(value)[1:-1].encode()) for name, value in added.items()]
        self._shapes = Shapes(openmetrics=source.openmetrics)
        self._same = source.openmetrics == target.openmetrics
        self._label_names: dict[str, bytes] = {}
        plain = target.escaping == "allow-utf-8" or not source.quoted_names
        self._exemplars = target.openmetrics and plain

    def blocks(self, family: Family) -> list[Block]:
        rows: Iterable[_Row] = self._rows(family)  # one at a time where that will do: pages can be large
        if family.repeated or not (self._same or self._target.openmetrics):
            rows = _last_points(rows)
        if not self._same:
            rows = _in_order(rows, family.type)
        metadata = self._source.metadata(family)
        help_ = unescaped(metadata.help)
        if self._same:
            return [self._block(family.name, family.name, family.type, help_, metadata.unit.decode(), rows)]
        if self._target.openmetrics:
            return [self._to_openmetrics(family, help_, rows)]
        return self._to_text(family, help_, list(rows))

    def _to_openmetrics(self, family: Family, help_: str, rows: Iterable[_Row]) -> Block:
        kind = "unknown" if family.type == "untyped" else family.type
        if kind == "counter":
            base = family.name.removesuffix("_total")
            if base and base != family.name:
                return self._block(base, base, kind, help_, "", _with_suffix(rows, "_total"))
            kind = "unknown"
        return self._block(family.name, family.name, kind, help_, "", rows)

    def _to_text(self, family: Family, help_: str, rows: list[_Row]) -> list[Block]:
        kind = _TO_TEXT.get(family.type, family.type)
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        own = [row for row in rows if row.suffix not in _APART_IN_TEXT]
        blocks = [self._block(family.name, family.name + suffix, kind, help_, "", own)] if own or not rows else []
        for apart in _APART_IN_TEXT:
            others = [row for row in rows if row.suffix == apart]
            if others:
                blocks.append(self._block(family.name, family.name + apart, "gauge", help_, "", others))
        return blocks

    def _block(self, base: str, name: str, kind: str, help_: str, unit: str, rows: Iterable[_Row]) -> Block:
        scheme = self._target.escaping
        stem = escaped(base, scheme)
        block = Block(stem + name[len(base) :], kind, help_, unit)
        for suffix, run in groupby(rows, lambda row: row.suffix):
            sample = stem + suffix
            block.lines.append((sample, b"".join([self._line(sample, row) for row in run])))
        return block

    def _line(self, sample: str, row: _Row) -> bytes:
        labels = b",".join([b'%b="%b"' % (self._label_name(name), value) for name, value in row.labels])
        if not is_old(sample):
            start = b"{%b%b}" % (quoted(sample).encode(), b"," + labels if labels else b"")
        else:
            start = sample.encode() + (b"{%b}" % labels if labels else b"")
        timestamp = b" " + self._timestamp(row.timestamp) if row.timestamp else b""
        exemplar = row.exemplar if self._exemplars else b""
        return b"%b %b%b%b\n" % (start, row.value, timestamp, exemplar)

    def _label_name(self, name: str) -> bytes:
        known = self._label_names.get(name)
        if known is None:
            text = escaped(name, self._target.escaping, label=True)
            known = (text if is_old(text, label=True) else quoted(text)).encode()
            self._label_names[name] = known
        return known

    def _timestamp(self, raw: bytes) -> bytes:
        if self._same:
            return raw
        if self._target.openmetrics:
            return repr(int(raw) / 1000).encode()
        return b"%d" % round(float(raw) * 1000)

    def _rows(self, family: Family) -> Iterator[_Row]:
        source, cut = self._source, len(family.name)
        for block in source.rows(family):
            self._checkpoint()
            for _, name, blob, value, timestamp, exemplar, *_rest in block:
                if not value:
                    continue
                raw_name = name
                if not name:
                    raw_name, blob = quoted_name(blob)  # noqa: PLW2901 - the same, without the name
                kept = exemplar if family.exemplars else b""
                yield _Row(raw_name.decode()[cut:], self._labels(blob), value, timestamp, kept)

    def _labels(self, blob: bytes) -> list[tuple[str, bytes]]:
        shape, values = self._shapes.of(blob)
        labels = [(name.decode(), self._value(value)) for name, value in zip(shape.names, values, strict=True)]
        for name, value in self._added:
            taken = {known for known, _ in labels}
            if name in taken:
                kept = f"exported_{name}"
                while kept in taken:
                    kept = f"exported_{kept}"
                labels = [(kept if known == name else known, text) for known, text in labels]
            labels.append((name, value))
        return labels

    def _value(self, raw: bytes) -> bytes:
        """Text knows three escapes only, whatever an app has written."""
        if self._target.openmetrics or b"\\" not in raw:
            return raw
        return quoted(unescaped(raw))[1:-1].encode()


def _with_suffix(rows: Iterable[_Row], suffix: str) -> Iterator[_Row]:
    for row in rows:
        row.suffix = suffix
        yield row


def _last_points(rows: Iterable[_Row]) -> list[_Row]:
    """Of each series the last point in time, where it first stood."""
    last: dict[tuple[str, tuple[tuple[str, bytes], ...]], _Row] = {}
    for row in rows:
        last[row.suffix, tuple(sorted(row.labels))] = row
    return list(last.values())


def _in_order(rows: Iterable[_Row], kind: str) -> Iterable[_Row]:
    """A distribution's rows as both formats want them: label set by label set, bounds first and increasing."""
    if kind not in _OWN:
        return rows
    suffix, own = _OWN[kind]
    groups: dict[tuple[tuple[str, bytes], ...], int] = {}

    def place(row: _Row) -> tuple[int, bool, float]:
        bounded = row.suffix == suffix
        key = tuple(sorted(label for label in row.labels if not bounded or label[0] != own))
        bound = dict(row.labels).get(own, b"0") if bounded else b"0"
        return groups.setdefault(key, len(groups)), not bounded, float(bound)

    return sorted(rows, key=place)
