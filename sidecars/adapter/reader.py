"""Reading a metrics page family by family: both formats demand that a family's lines stand together. No I/O.

A family is open while lines of it come: first its metadata, then its samples, which go to the check that its type needs
(`families`, `points`). It ends where another begins, and at the end of the page; then it is looked at as a whole, and
its names cannot come again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecars.adapter import lines
from sidecars.adapter.families import check_of
from sidecars.adapter.labels import BadLabels, Shapes, quoted_name
from sidecars.adapter.lines import Malformed
from sidecars.adapter.metadata import Metadata, metadata_of
from sidecars.adapter.points import Points
from sidecars.adapter.values import Check, Suffixes

_NO_SAMPLES: Suffixes = ()


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


def described(row: lines.Row, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """What a row says of a family: the word, the family's name, and the text. None where it says nothing."""
    if row[lines.WORD]:
        return row[lines.WORD], row[lines.FAMILY], row[lines.TEXT]
    return metadata_of(row[lines.COMMENT], line, openmetrics=openmetrics) if row[lines.COMMENT] else None


class Reader:
    """Reads one page. Raises `Malformed`."""

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
