"""Reading a metrics page family by family. No I/O.

A family is open while lines of it come: first its metadata, then its samples, which go to the check that its type needs
(`families`, `points`). It ends where another begins, and at the end of the page; then it is looked at as a whole.

    state         a line of the family                        a line of another family
    new           metadata: kept; a sample: open              finished (without samples)
    open          a sample: checked; metadata: a fault        finished
    unsound       skipped                                     finished (condemned)
    finished      resumed, which is a fault                   -
    resumed       a sample: its place is kept                 finished

Both formats demand that a family's lines stand together. Where they do not, the family is checked once more when the
page has ended, all its pieces in one go, so that the time stays linear in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.family_checks import check_of
from sidecars.adapter.exposition.labels import MalformedLabels, Shapes, quoted_name
from sidecars.adapter.exposition.metadata import Metadata, metadata_of
from sidecars.adapter.exposition.metric_points import Points
from sidecars.adapter.exposition.page_faults import Fault, Faults, InconsistentFamily, MalformedPage
from sidecars.adapter.exposition.sample_values import Check, Piece, Suffixes, suffixes_of

_NO_SAMPLES: Suffixes = ()
_UNSUFFIXED: tuple[Suffixes, ...] = (_NO_SAMPLES, ("",))
_PLAIN = (b"",)


@dataclass(slots=True)
class Family:
    """A metric family: where it stands in the page.

    type       the format's own word: text's `untyped` is OpenMetrics's `unknown`
    suffixes   what the names of its samples have beyond its own: "" or "_bucket", "_sum", …
    begin      where its metadata begin; its samples are from `start` (whose line is `line`) to `end`
    more       where further samples are, if its lines do not stand together
    exemplars  True if its exemplars can be used
    repeated   True if some series are there several times, with the same value
    """

    name: str
    type: str
    suffixes: Suffixes
    begin: int
    line: int
    start: int
    end: int
    more: tuple[Piece, ...] = ()
    exemplars: bool = True
    repeated: bool = False

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where its samples are."""
        return (Piece(self.line, self.start, self.end), *self.more)


def described(row: lexer.Row, line: int, *, openmetrics: bool) -> tuple[bytes, bytes, bytes] | None:
    """What a row says of a family: the word, the family's name, and the text. None where it says nothing."""
    if row[lexer.WORD]:
        return row[lexer.WORD], row[lexer.FAMILY], row[lexer.TEXT]
    return metadata_of(row[lexer.COMMENT], line, openmetrics=openmetrics) if row[lexer.COMMENT] else None


class FamilyParser:
    """Reads one page. Raises `Malformed`.

    `proceed` is called for each part of the page; what it raises ends the reading.
    """

    def __init__(
        self, page: bytes, max_series: int, faults: Faults, checkpoint: Callable[[], None], *, openmetrics: bool
    ) -> None:
        self.families: dict[str, Family] = {}
        self.unsound: dict[str, Fault] = {}
        """Why a family is condemned, by its name."""
        self.series = 0
        self._faults = faults
        self._checkpoint = checkpoint
        self._quoted_metric = False
        self._page = page
        self._backslashes = not openmetrics and b"\\" in page
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
        self._fault: Fault | None = None  # why it is condemned
        self._resumed = False
        self._claims: dict[str, str] = {}  # whose a name with a suffix may be: by name the family's
        self._used: dict[str, str] = {}  # whose a name with a suffix is
        self._pieces: dict[str, list[Piece]] = {}  # of families that were resumed

    @property
    def quoted_names(self) -> bool:
        """True if a metric's or a label's name is written in quotes."""
        return self._quoted_metric or self._shapes.quoted

    def read(self, end: int) -> None:
        """Read up to this offset."""
        for rows in lexer.scan(self._page, 0, end, openmetrics=self._openmetrics):
            self._checkpoint()
            self._block(rows)
        self._finish()
        for name in self._pieces:
            self._checkpoint()
            self._recheck(self.families[name])

    def _block(self, rows: list[lexer.Row]) -> None:
        i, count = 0, len(rows)
        while i < count:
            row = rows[i]
            if row[lexer.VALUE]:
                first = i
                if not row[lexer.NAME]:
                    rows[i] = row = self._with_quoted_name(row)
                if row[lexer.NAME] not in self._metadata.samples:
                    self._other(row[lexer.NAME])
                allowed = self._metadata.samples
                while i < count and rows[i][lexer.NAME] in allowed:
                    i += 1
                self._samples(rows[first:i])
                continue
            if row[lexer.WORD]:
                self._describe(row[lexer.WORD], row[lexer.FAMILY], row[lexer.TEXT])
                self._line += 1
            elif row[lexer.BAD]:
                raise MalformedPage(self._line, lexer.explain(row[lexer.BAD], openmetrics=self._openmetrics))
            elif row[lexer.COMMENT]:
                self._comment(row)
                self._line += 1
            else:
                self._line += lexer.feeds(row)
            i += 1
            self._offset += len(row[lexer.LINE])

    def _comment(self, row: lexer.Row) -> None:
        found = metadata_of(row[lexer.COMMENT], self._line, openmetrics=self._openmetrics)
        if found:
            self._quoted_metric = True
            self._describe(*found)
        else:
            self._faults.note("metadata", self._line, "this describes no metric: it has no name")

    def _with_quoted_name(self, row: lexer.Row) -> lexer.Row:
        try:
            name, blob = quoted_name(row[lexer.LABELS])
        except MalformedLabels as error:
            raise MalformedPage(self._line, str(error)) from None
        self._quoted_metric = True
        line, _, _, *rest = row
        return (line, name, blob, *rest)  # type: ignore[return-value] # of the same length

    # -- the family that is open -----------------------------------------------------------------------------------

    def _samples(self, rows: list[lexer.Row]) -> None:
        """Some more of the family."""
        self.series += len(rows)
        if self.series > self._max_series:
            raise MalformedPage(0, f"there are more series than the {self._max_series} that are taken", "limit")
        line, self._line = self._line, self._line + len(rows)
        offset, self._offset = self._offset, self._offset + sum([len(row[lexer.LINE]) for row in rows])
        if self._backslashes:
            self._note_escapes(rows, line)
        if self._resumed:
            self._pieces.setdefault(self._name, []).append(Piece(line, offset, self._offset))
            return
        if self._check is None:
            self._first = line, offset
            self._check = check_of(self._metadata, self._shapes, self._faults)
        if self._fault:
            return
        try:
            if not self._check.take(rows, line):
                self._check = self._points(self._metadata, [Piece(*self._first, self._offset)])
        except InconsistentFamily as error:
            self._fault = error.fault

    def _note_escapes(self, rows: list[lexer.Row], line: int) -> None:
        for at, row in enumerate(rows, line):
            if b"\\" in row[lexer.LABELS] and lexer.ODD_ESCAPE.search(row[lexer.LABELS]):
                self._faults.note("escape", at, "a label's value has a backslash that is not escaped")

    def _points(self, metadata: Metadata, pieces: Iterable[Piece]) -> Check:
        """The family in these pieces, checked anew, point by point."""
        check = Points(metadata.name, metadata.type, self._shapes, self._faults)
        for line, rows in self._runs(pieces):
            check.take(rows, line)
        return check

    def _runs(self, pieces: Iterable[Piece]) -> Iterable[tuple[int, list[lexer.Row]]]:
        for piece in pieces:
            for line, rows in lexer.runs(self._page, piece.start, piece.end, piece.line, openmetrics=self._openmetrics):
                yield line, [row if row[lexer.NAME] else self._with_quoted_name(row) for row in rows]

    def _describe(self, word: bytes, name: bytes, value: bytes) -> None:
        if name != self._metadata.name:
            text = name.decode()
            if text in self.families:
                self._resume(text)
            else:
                self._begin(name, text)
        if self._check or self._resumed:
            why = f"{word.decode()} of {lexer.excerpt(name)} must stand before its samples, and is not used here"
            self._faults.note("metadata", self._line, why)
        else:
            self._metadata.add(word, value, self._line, self._faults)

    def _other(self, name: bytes) -> None:
        """A sample that does not belong to the open family, or that its type does not have."""
        metadata = self._metadata
        if name == metadata.name:
            known = ", ".join(sorted(lexer.excerpt(sample) for sample in metadata.samples))
            why = f"{lexer.excerpt(name)} is a {metadata.type}: its samples are {known}"
            if self._check or self._resumed:
                self._condemn(self._name, Fault("name_clash", self._line, why))
                metadata.samples = (*metadata.samples, name)
            else:
                metadata.forget_type(self._line, self._faults, why)
            return
        text = name.decode()
        owner = text if text in self.families else self._claims.get(text, "")
        if owner:
            self._resume(owner)
            why = f"{lexer.excerpt(name)} goes on here, but a metric's lines must stand together"
            self._faults.note("interleaved", self._line, why)
        else:
            self._begin(name, text)

    def _begin(self, name: bytes, text: str) -> None:
        self._finish()
        if len(self.families) >= self._max_series:
            raise MalformedPage(0, f"there are more metrics than the {self._max_series} that are taken", "limit")
        self._name = text
        self._metadata = Metadata(name, openmetrics=self._openmetrics)
        self._begun = self._offset

    def _resume(self, name: str) -> None:
        self._finish()
        self._name = name
        self._metadata = Metadata(name.encode(), openmetrics=self._openmetrics)
        self._metadata.become(self.families[name].type)
        self._resumed = True

    def _condemn(self, name: str, fault: Fault) -> None:
        if name == self._name and not self._resumed:
            self._fault = self._fault or fault
        else:
            self.unsound.setdefault(name, fault)

    # -- families that have ended ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The family has ended: it is looked at as a whole."""
        name, metadata, check, resumed = self._name, self._metadata, self._check, self._resumed
        self._name, self._check, self._resumed = "", None, False
        if not name or resumed:
            return
        metadata.finish(self._line - 1, self._faults)
        line, start = self._first if check else (self._line, self._offset)
        family = Family(name, metadata.type, _NO_SAMPLES, self._begun, line, start, self._offset)
        fault, self._fault = self._fault, None
        if check:
            fault = fault or self._looked_at(check, family)
        if self._openmetrics and name in self._claims:
            self._faults.note("metadata", line, f"the name {name} belongs to another metric already")
        self.families[name] = family
        if fault:
            self._leave_out(family, fault)
        if metadata.suffixes != _PLAIN:
            self._claim(metadata, line)
        if self._used or family.suffixes not in _UNSUFFIXED:
            self._use(family)

    def _looked_at(self, check: Check, family: Family) -> Fault | None:
        """What the check says of the family in the end."""
        try:
            check.finish(self._page, family)
        except InconsistentFamily as error:
            return error.fault
        finally:
            family.suffixes = check.suffixes
            family.exemplars = not check.bad_exemplars
            family.repeated = check.repeated
        return None

    def _leave_out(self, family: Family, fault: Fault) -> None:
        """Condemn a family that has ended. Its check may not have seen all of its samples."""
        self.unsound[family.name] = fault
        cut = len(family.name.encode())
        names = {row[lexer.NAME] for _, rows in self._runs(family.pieces) for row in rows}
        family.suffixes = suffixes_of({name[cut:] for name in names})

    def _claim(self, metadata: Metadata, line: int) -> None:
        """The names that its samples could have are its own."""
        for suffix in metadata.suffixes:
            if suffix:
                name = (metadata.name + suffix).decode()
                owner = self._claims.setdefault(name, metadata.name.decode())
                if self._openmetrics and (owner != metadata.name.decode() or name in self.families):
                    self._faults.note("metadata", line, f"the name {name} belongs to another metric already")

    def _use(self, family: Family) -> None:
        """The names that its samples have are its own, and nobody else's."""
        for suffix in family.suffixes:
            name = family.name + suffix
            other = self.families.get(name) if suffix else None
            owner = name if other and "" in other.suffixes else self._used.get(name, family.name)
            if suffix:
                self._used.setdefault(name, family.name)
            if owner != family.name:
                for one in (owner, family.name):
                    fault = Fault(
                        "name_clash", family.line, f"samples of {owner} and of {family.name} are called {name}"
                    )
                    self._condemn(one, fault)

    def _recheck(self, family: Family) -> None:
        """Check a family that was resumed, all its pieces in one go."""
        family.more = tuple(self._pieces[family.name])
        before = self.unsound.pop(family.name, None)
        if before and before.kind == "name_clash":
            self.unsound[family.name] = before
            return
        metadata = Metadata(family.name.encode(), openmetrics=self._openmetrics)
        metadata.become(family.type)
        check = check_of(metadata, self._shapes, self._faults)
        fault: Fault | None = None
        try:
            for line, rows in self._runs(family.pieces):
                if not check.take(rows, line):
                    check = self._points(metadata, family.pieces)
                    break
        except InconsistentFamily as error:
            fault = error.fault
        fault = fault or self._looked_at(check, family)
        if fault:
            self._leave_out(family, fault)
        self._use(family)
