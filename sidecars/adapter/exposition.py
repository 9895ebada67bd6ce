"""An app's metrics page: parsed from its bytes, checked to the letter, and kept in a form that is small. No I/O.

    exposition = parse(body, "text/plain; version=0.0.4", max_series=10_000)   # or Malformed
    exposition.select("up")                                                    # its samples

What is kept is the page itself and, for each metric family, where its lines begin and end: a hundred thousand series
weigh no more than their bytes. Samples come into being when they are asked for.

Reading goes family by family, since both formats demand that a family's lines stand together. `families` knows what
each type demands of its samples, `lines` and `labels` how a line is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sidecars.adapter import lines
from sidecars.adapter.families import check_of
from sidecars.adapter.labels import BadLabels, Labels, Shapes, labels_of, quoted_name
from sidecars.adapter.lines import Malformed
from sidecars.adapter.metadata import Metadata, metadata_of
from sidecars.adapter.points import Points
from sidecars.adapter.values import Check

__all__ = ["Exposition", "Family", "Labels", "Malformed", "Sample", "parse"]

_MEDIA_TYPES = {
    "text/plain": (False, ("0.0.4", "1.0.0")),
    "application/openmetrics-text": (True, ("0.0.1", "1.0.0")),
}
_PARAMETER = re.compile(r';\s*([\w!#$&^.+-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]*))\s*')
_EOF = b"# EOF"


class Sample(NamedTuple):
    """One series and its value. `timestamp` is in Unix seconds, None where the page gives none."""

    name: str
    labels: Labels
    value: float
    timestamp: float | None = None


@dataclass(slots=True)
class Family:
    """A metric family: its metadata as the page has it, and the offsets of its sample lines in the page.

    type   the format's own word: text's `untyped` is OpenMetrics's `unknown`
    help   still escaped; `unit` is OpenMetrics's only
    names  the names of its samples (`x_bucket`, `x_sum`, …)
    """

    name: str
    type: str
    help: bytes
    unit: str
    start: int
    end: int
    names: tuple[str, ...] = field(default=())


class Exposition:
    """A whole valid page. Read-only."""

    def __init__(
        self, page: bytes, families: dict[str, Family], series: int, *, openmetrics: bool, quoted_names: bool
    ) -> None:
        self.page = page
        self.families = families
        """By name, in the page's order."""
        self.series = series
        """How many samples it has."""
        self.openmetrics = openmetrics
        self.quoted_names = quoted_names
        """Whether a metric's or a label's name is written in quotes, as UTF-8 names must be."""
        self._owners = {name: family for family in families.values() for name in family.names}

    def names(self) -> Iterator[str]:
        """The names of all samples (`x_bucket`, not the family's `x`), each once, in the page's order."""
        return iter(self._owners)

    def select(self, name: str) -> list[Sample]:
        """All samples of that name; empty where there are none.

        OpenMetrics allows several points in time of one series: of these the last one counts.
        """
        family = self._owners.get(name)
        if family is None:
            return []
        found: dict[Labels, Sample] = {}
        for sample in self.samples(family):
            if sample.name == name:
                found[sample.labels] = sample
        return list(found.values())

    def samples(self, family: Family) -> Iterator[Sample]:
        """All samples of the family, in the page's order."""
        shapes = Shapes(openmetrics=self.openmetrics)
        scale = 1.0 if self.openmetrics else 1000.0
        for rows in lines.scan(self.page, family.start, family.end, openmetrics=self.openmetrics):
            for _, name, blob, value, timestamp, *_rest in rows:
                if value:
                    if not name:
                        name, blob = quoted_name(blob)  # noqa: PLW2901 - the same two, found elsewhere
                    labels = labels_of(*shapes.of(blob)) if blob else ()
                    time = float(timestamp) / scale if timestamp else None
                    yield Sample(name.decode(), labels, float(value), time)


def parse(body: bytes, content_type: str, max_series: int) -> Exposition:
    """The page that these bytes are. Raises `Malformed`.

    `content_type` is the header's value, "" where the app has sent none (that is text 0.0.4). More than `max_series`
    samples are refused, too.
    """
    openmetrics = _is_openmetrics(content_type)
    end = _end(body) if openmetrics else len(body)
    reader = _Reader(body, max_series, openmetrics=openmetrics)
    reader.read(end)
    return Exposition(body, reader.families, reader.series, openmetrics=openmetrics, quoted_names=reader.quoted_names)


def _is_openmetrics(content_type: str) -> bool:
    """Which of the two formats a `Content-Type` names."""
    if not content_type.strip():
        return False
    media_type, _, rest = content_type.partition(";")
    known = _MEDIA_TYPES.get(media_type.strip().lower())
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(f";{rest}")}
    if known is None or parameters.get("version", known[1][0]) not in known[1]:
        raise Malformed(0, f"the Content-Type {lines.show(content_type.encode())} is none of Prometheus's text formats")
    return known[0]


def _end(body: bytes) -> int:
    """Where OpenMetrics's `# EOF` begins."""
    end = len(body) - len(_EOF) - body.endswith(b"\n")
    if end < 0 or not body.startswith(_EOF, end) or (end and body[end - 1 : end] != b"\n"):
        raise Malformed(body.count(b"\n") + 1, "there is no # EOF at the end: the page is not whole")
    return end


class _Reader:
    """Reads a page line by line; knows the family that it is in."""

    def __init__(self, page: bytes, max_series: int, *, openmetrics: bool) -> None:
        self.families: dict[str, Family] = {}
        self.series = 0
        self._quoted_metric = False
        self._page = page
        self._max_series = max_series
        self._openmetrics = openmetrics
        self._shapes = Shapes(openmetrics=openmetrics)
        self._line = 1  # of the row that is looked at
        self._offset = 0  # where it begins
        self._metadata = Metadata(b"", openmetrics=openmetrics)
        self._allowed: frozenset[bytes] = frozenset()  # what its samples may be called
        self._check: Check | None = None  # once the family has samples
        self._first = (0, 0)  # the line and the offset of the first of them
        self._taken: set[bytes] = set()  # names that cannot come again

    @property
    def quoted_names(self) -> bool:
        return self._quoted_metric or self._shapes.quoted

    def read(self, end: int) -> None:
        plain = self._page.isascii()
        for rows in lines.scan(self._page, 0, end, openmetrics=self._openmetrics):
            if not plain:
                self._decode(rows)
            self._block(rows)
        self._finish()

    def _decode(self, rows: list[lines.Row]) -> None:
        for at, row in enumerate(rows, self._line):
            try:
                row[lines.LINE].decode()
            except UnicodeDecodeError:
                raise Malformed(at, "this is not UTF-8") from None

    def _block(self, rows: list[lines.Row]) -> None:
        i, count = 0, len(rows)
        while i < count:
            row = rows[i]
            if row[lines.VALUE]:
                first = i
                if not row[lines.NAME]:
                    rows[i] = row = self._with_quoted_name(row)
                if row[lines.NAME] not in self._allowed:
                    self._untyped(row[lines.NAME])
                allowed = self._allowed
                while i < count and rows[i][lines.NAME] in allowed:
                    i += 1
                self._samples(rows[first:i])
            elif row[lines.BAD]:
                raise Malformed(self._line, lines.explain(row[lines.BAD], openmetrics=self._openmetrics))
            else:
                if row[lines.COMMENT]:
                    self._comment(row[lines.COMMENT])
                i += 1
                self._line += 1
                self._offset += len(row[lines.LINE])

    def _with_quoted_name(self, row: lines.Row) -> lines.Row:
        try:
            name, blob = quoted_name(row[lines.LABELS])
            self._quoted_metric = True
        except BadLabels as error:
            raise Malformed(self._line, str(error)) from None
        line, _, _, value, timestamp, exemplar, comment, bad = row
        return line, name, blob, value, timestamp, exemplar, comment, bad

    def _samples(self, rows: list[lines.Row]) -> None:
        """Some more of the family."""
        self.series += len(rows)
        if self.series > self._max_series:
            raise Malformed(0, f"there are more series than the {self._max_series} that are taken")
        line, self._line = self._line, self._line + len(rows)
        offset, self._offset = self._offset, self._offset + sum([len(row[lines.LINE]) for row in rows])
        if self._check is None:
            self._first = line, offset
            self._check = check_of(self._metadata, self._shapes)
        if not self._check.take(rows, line):
            self._check = Points(self._metadata.name, self._metadata.type, self._shapes)
            line, start = self._first
            for again in lines.scan(self._page, start, self._offset, openmetrics=self._openmetrics):
                named = [row if row[lines.NAME] else self._with_quoted_name(row) for row in again]
                self._check.take(named, line)
                line += len(again)

    def _comment(self, comment: bytes) -> None:
        found = metadata_of(comment, self._line, openmetrics=self._openmetrics)
        if found is None:
            return
        word, name, value = found
        self._quoted_metric = self._quoted_metric or b'"' + name + b'"' in comment
        if name != self._metadata.name:
            self._begin(name)
        if self._check:
            raise Malformed(self._line, f"{word} of {lines.show(name)} must stand before its samples")
        self._metadata.add(word, value, self._line)
        self._allowed = self._metadata.samples

    def _untyped(self, name: bytes) -> None:
        """A sample that does not belong to the family before it begins one without metadata."""
        if name == self._metadata.name:
            known = ", ".join(sorted(lines.show(sample) for sample in self._allowed))
            raise Malformed(self._line, f"{lines.show(name)} is a {self._metadata.type}: its samples are {known}")
        self._begin(name)
        self._allowed = self._metadata.samples

    def _begin(self, name: bytes) -> None:
        self._finish()
        if name in self._taken:
            raise Malformed(self._line, f"{lines.show(name)} has come before: a metric's lines must stand together")
        self._metadata = Metadata(name, openmetrics=self._openmetrics)

    def _finish(self) -> None:
        """The family has ended: it is looked at as a whole, and its names cannot come again."""
        metadata, check = self._metadata, self._check
        if not metadata.name:
            return
        metadata.finish(self._line - 1)
        line, start = self._first if check else (self._line, self._offset)
        if check:
            check.finish(self._page, start, self._offset, line)
        names = check.names if check else set()
        taken = metadata.taken(names)
        if not taken.isdisjoint(self._taken):
            name = min(taken & self._taken)
            raise Malformed(line, f"the name {lines.show(name)} belongs to another metric already")
        self._taken |= taken
        decoded = metadata.name.decode()
        self.families[decoded] = Family(
            decoded,
            metadata.type,
            metadata.help,
            metadata.unit.decode(),
            start,
            self._offset,
            tuple(sorted(sample.decode() for sample in names)),
        )
        self._check = None
