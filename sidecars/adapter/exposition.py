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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sidecars.adapter import lines
from sidecars.adapter.families import check_of
from sidecars.adapter.labels import BadLabels, Labels, Shapes, quoted_name, unescaped
from sidecars.adapter.lines import Malformed
from sidecars.adapter.metadata import SUFFIXES, Metadata, metadata_of
from sidecars.adapter.points import Points
from sidecars.adapter.samples import Sample
from sidecars.adapter.values import Check, Suffixes

__all__ = ["Exposition", "Family", "Labels", "Malformed", "Sample", "parse"]

_MEDIA_TYPES = {
    "text/plain": (False, ("0.0.4", "1.0.0")),
    "application/openmetrics-text": (True, ("0.0.1", "1.0.0")),
}
_PARAMETER = re.compile(r';\s*([\w!#$&^.+-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]*))\s*')
_EOF = b"# EOF"
_NO_SAMPLES: Suffixes = ()
_SUFFIXES = tuple(
    sorted({suffix.decode() for types in SUFFIXES.values() for known in types.values() for suffix in known} - {""})
)


Conditions = Sequence[tuple[str, Callable[[str], bool]]]
"""Labels, and what is asked of their values; of one that is not there, "" is."""

_MOST_ANSWERS = 10_000  # kept of one condition


@dataclass(slots=True)
class Family:
    """A metric family: where it stands in the page.

    type      the format's own word: text's `untyped` is OpenMetrics's `unknown`
    suffixes  what the names of its samples have beyond its own: "" or "_bucket", "_sum", …
    begin     where its metadata begin; its samples are from `start` to `end`
    """

    name: str
    type: str
    suffixes: Suffixes
    begin: int
    start: int
    end: int


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

    def names(self) -> Iterator[str]:
        """The names of all samples (`x_bucket`, not the family's `x`), each once, in the page's order."""
        for family in self.families.values():
            for suffix in family.suffixes:
                yield family.name + suffix

    def select(self, name: str, conditions: Conditions = ()) -> list[Sample]:
        """The samples of that name that keep all conditions; empty where there are none.

        OpenMetrics allows several points in time of one series: of these the last one counts.
        """
        family = self._owner(name)
        if family is None:
            return []
        wanted = name if len(family.suffixes) > 1 else ""
        found = list(self._samples(family, wanted.encode(), conditions))
        if not self.openmetrics or all(sample.timestamp is None for sample in found):
            return found
        return list({sample.labels: sample for sample in found}.values())

    def _owner(self, name: str) -> Family | None:
        """The family that has samples of this name."""
        for suffix in ("", *_SUFFIXES):
            if name.endswith(suffix):
                family = self.families.get(name[: len(name) - len(suffix)])
                if family and suffix in family.suffixes:
                    return family
        return None

    def _samples(self, family: Family, wanted: bytes, conditions: Conditions) -> Iterator[Sample]:
        """The family's samples, of one name where that is not empty."""
        shapes = Shapes(openmetrics=self.openmetrics)
        fits = _fits(shapes, conditions) if conditions else None
        scale = 1.0 if self.openmetrics else 1000.0
        raw_name, text_name = b"", ""
        for rows in lines.scan(self.page, family.start, family.end, openmetrics=self.openmetrics):
            for _, name, blob, value, timestamp, *_rest in rows:
                if not value:
                    continue
                if not name:
                    name, blob = quoted_name(blob)  # noqa: PLW2901 - the same two, found elsewhere
                if wanted and name != wanted:
                    continue
                if fits and not fits(blob):
                    continue
                if name != raw_name:
                    raw_name, text_name = name, name.decode()
                time = float(timestamp) / scale if timestamp else None
                yield Sample(text_name, None, float(value), time, blob, shapes)

    def metadata(self, family: Family) -> Metadata:
        """The family's HELP, TYPE and UNIT, read again."""
        metadata = Metadata(family.name.encode(), openmetrics=self.openmetrics)
        for rows in lines.scan(self.page, family.begin, family.start, openmetrics=self.openmetrics):
            for row in rows:
                found = described(row, 0, openmetrics=self.openmetrics)
                if found:
                    metadata.add(found[0], found[2], 0)
        return metadata


def _fits(shapes: Shapes, conditions: Conditions) -> Callable[[bytes], bool]:
    """Whether the labels that are written so keep the conditions. The answer for a value is kept, as values recur."""
    asked = [(label.encode(), test, dict[bytes, bool]()) for label, test in conditions]

    def fits(blob: bytes) -> bool:
        shape, values = shapes.of(blob)
        for label, test, answers in asked:
            index = shape.index(label)
            raw = values[index] if index >= 0 else b""
            answer = answers.get(raw)
            if answer is None:
                answer = test(unescaped(raw))
                if len(answers) < _MOST_ANSWERS:
                    answers[raw] = answer
            if not answer:
                return False
        return True

    return fits


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


def described(row: lines.Row, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """What a row says of a family: the word, the family's name, and the text. None where it says nothing."""
    if row[lines.WORD]:
        return row[lines.WORD], row[lines.FAMILY], row[lines.TEXT]
    return metadata_of(row[lines.COMMENT], line, openmetrics=openmetrics) if row[lines.COMMENT] else None


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
        self._name = ""  # of the family
        self._begun = 0  # where its metadata begin
        self._metadata = Metadata(b"", openmetrics=openmetrics)
        self._check: Check | None = None  # once it has samples
        self._first = (0, 0)  # the line and the offset of the first of them
        self._taken: set[str] = set()  # names that cannot come again, beside those of families

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
                if row[lines.NAME] not in self._metadata.samples:
                    self._untyped(row[lines.NAME])
                allowed = self._metadata.samples
                while i < count and rows[i][lines.NAME] in allowed:
                    i += 1
                self._samples(rows[first:i])
                continue
            if row[lines.WORD]:
                self._describe(row[lines.WORD], row[lines.FAMILY], row[lines.TEXT])
            elif row[lines.BAD]:
                raise Malformed(self._line, lines.explain(row[lines.BAD], openmetrics=self._openmetrics))
            elif row[lines.COMMENT]:
                found = metadata_of(row[lines.COMMENT], self._line, openmetrics=self._openmetrics)
                if found:
                    self._quoted_metric = True
                    self._describe(*found)
            i += 1
            self._line += 1
            self._offset += len(row[lines.LINE])

    def _with_quoted_name(self, row: lines.Row) -> lines.Row:
        try:
            name, blob = quoted_name(row[lines.LABELS])
        except BadLabels as error:
            raise Malformed(self._line, str(error)) from None
        self._quoted_metric = True
        line, _, _, *rest = row
        return (line, name, blob, *rest)  # type: ignore[return-value] # of the same length

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

    def _describe(self, word: bytes, name: bytes, text: bytes) -> None:
        if name != self._metadata.name:
            self._begin(name)
        if self._check:
            raise Malformed(self._line, f"{word.decode()} of {lines.show(name)} must stand before its samples")
        self._metadata.add(word, text, self._line)

    def _untyped(self, name: bytes) -> None:
        """A sample that does not belong to the family before it begins one without metadata."""
        if name == self._metadata.name:
            known = ", ".join(sorted(lines.show(sample) for sample in self._metadata.samples))
            raise Malformed(self._line, f"{lines.show(name)} is a {self._metadata.type}: its samples are {known}")
        self._begin(name)

    def _begin(self, name: bytes) -> None:
        self._finish()
        self._name = name.decode()
        if self._name in self.families or self._name in self._taken:
            raise Malformed(self._line, f"{lines.show(name)} has come before: a metric's lines must stand together")
        self._metadata = Metadata(name, openmetrics=self._openmetrics)
        self._begun = self._offset

    def _finish(self) -> None:
        """The family has ended: it is looked at as a whole, and its names cannot come again."""
        name, metadata, check = self._name, self._metadata, self._check
        if not name:
            return
        metadata.finish(self._line - 1)
        line, start, suffixes = self._line, self._offset, _NO_SAMPLES
        if check:
            line, start = self._first
            check.finish(self._page, start, self._offset, line)
            suffixes = check.suffixes
            self._check = None
        self.families[name] = Family(name, metadata.type, suffixes, self._begun, start, self._offset)
        if self._openmetrics:  # all that its samples could be called
            suffixes = tuple([suffix.decode() for suffix in metadata.suffixes])
        for suffix in suffixes:
            if suffix:
                taken = name + suffix
                if taken in self.families or taken in self._taken:
                    raise Malformed(line, f"the name {taken} belongs to another metric already")
                self._taken.add(taken)
