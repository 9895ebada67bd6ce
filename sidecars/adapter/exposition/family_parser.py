"""Read a metrics page family by family: a state machine over its rows. No I/O.

Both formats demand that a family's lines stand together: first its metadata, then its samples. One family is current
at a time. Its samples go to the check that its type needs (`family_checks`). It ends where a line of another family
comes, and at the end of the page; then it is checked as a whole.

    state       meaning                                                                   held in
    described   the family has metadata, and no samples yet                               `_check` is None
    open        its samples are checked                                                   `_check`
    dropped     a check has failed: further samples are skipped                           `_fault`
    resumed     lines of a family that had ended: only its samples' offsets are kept      `_resumed`
    ended       another family has begun                                                  `families`, `dropped`

    state       metadata of the family       a sample of the family      a line of another family
    described   kept                         open                        ended
    open        fault, not used              open, or dropped            ended
    dropped     fault, not used              dropped                     ended
    ended       resumed, with a fault        resumed, with a fault       ended
    resumed     fault, not used              resumed                     ended

A family that was resumed is checked once more after the end of the page, all its spans in one go. So the time stays
linear in the page.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.cancellation import Checkpoint
from sidecars.adapter.exposition.family import Family, Span, Suffixes, suffixes_of
from sidecars.adapter.exposition.family_checks import FamilyCheck, check_for
from sidecars.adapter.exposition.labels import LabelParser, MalformedLabels, split_quoted_name
from sidecars.adapter.exposition.metadata import Metadata, parse_comment
from sidecars.adapter.exposition.metric_points import MetricPointCheck
from sidecars.adapter.exposition.page_faults import Fault, Faults, InconsistentFamily, MalformedPage

_NO_SAMPLES: Suffixes = ()
_UNSUFFIXED: tuple[Suffixes, ...] = (_NO_SAMPLES, ("",))
_NO_SUFFIX = (b"",)


class FamilyParser:
    """The parser of one page's families. `parser.parse_page` makes one for each page and runs it once.

    `checkpoint` is called for each block of the page; an exception that it raises ends the parsing.
    """

    def __init__(
        self, page: bytes, max_series: int, faults: Faults, checkpoint: Checkpoint, *, openmetrics: bool
    ) -> None:
        self.families: dict[str, Family] = {}
        """All families by name, in the page's order."""
        self.dropped: dict[str, Fault] = {}
        """The families that contradict themselves: by name, the fault."""
        self.sample_count = 0
        self._faults = faults
        self._checkpoint = checkpoint
        self._quoted_metric = False
        self._page = page
        self._backslashes = not openmetrics and b"\\" in page
        self._max_series = max_series
        self._openmetrics = openmetrics
        self._labels = LabelParser(openmetrics=openmetrics)
        self._line = 1  # the number of the current row's first line
        self._offset = 0  # the offset of the current row
        # The current family:
        self._name = ""
        self._begin = 0  # the offset of its metadata
        self._metadata = Metadata(b"", openmetrics=openmetrics)
        self._check: FamilyCheck | None = None  # None before its first sample
        self._first = (0, 0)  # the line and the offset of its first sample
        self._fault: Fault | None = None  # set in the state dropped
        self._resumed = False
        # All families:
        self._claims: dict[str, str] = {}  # names with a suffix that a family's samples may have -> the family
        self._used: dict[str, str] = {}  # names with a suffix that a family's samples have -> the family
        self._more: dict[str, list[Span]] = {}  # the later spans of families that were resumed

    @property
    def quoted_names(self) -> bool:
        """True if a metric's or a label's name is written in quotes."""
        return self._quoted_metric or self._labels.quoted_names

    def parse(self, end: int) -> None:
        """Parse the page up to this offset. Raises MalformedPage, and the exceptions of `checkpoint`."""
        for rows in lexer.scan(self._page, 0, end, openmetrics=self._openmetrics):
            self._checkpoint()
            self._take_rows(rows)
        self._end_family()
        for name in self._more:
            self._checkpoint()
            self._recheck(self.families[name])

    def _take_rows(self, rows: list[lexer.Row]) -> None:
        i, count = 0, len(rows)
        while i < count:
            row = rows[i]
            if row[lexer.VALUE]:
                first = i
                if not row[lexer.NAME]:
                    rows[i] = row = self._with_quoted_name(row)
                if row[lexer.NAME] not in self._metadata.sample_names:
                    self._take_other_name(row[lexer.NAME])
                names = self._metadata.sample_names
                while i < count and rows[i][lexer.NAME] in names:
                    i += 1
                self._take_samples(rows[first:i])
                continue
            if row[lexer.KEYWORD]:
                self._take_metadata(row[lexer.KEYWORD], row[lexer.FAMILY], row[lexer.TEXT])
                self._line += 1
            elif row[lexer.BAD]:
                raise MalformedPage(self._line, lexer.explain_bad_line(row[lexer.BAD], openmetrics=self._openmetrics))
            elif row[lexer.COMMENT]:
                self._take_comment(row)
                self._line += 1
            else:
                self._line += lexer.line_count(row)
            i += 1
            self._offset += len(row[lexer.LINE])

    def _take_comment(self, row: lexer.Row) -> None:
        found = parse_comment(row[lexer.COMMENT], self._line, openmetrics=self._openmetrics)
        if found:
            self._quoted_metric = True
            self._take_metadata(*found)
        else:
            self._faults.add("metadata", self._line, "this describes no metric: it has no name")

    def _with_quoted_name(self, row: lexer.Row) -> lexer.Row:
        """Return the row with the metric's quoted name moved from the braces into `NAME`. Raises MalformedPage."""
        try:
            name, raw_labels = split_quoted_name(row[lexer.LABELS])
        except MalformedLabels as error:
            raise MalformedPage(self._line, str(error)) from None
        self._quoted_metric = True
        line, _, _, *rest = row
        return (line, name, raw_labels, *rest)  # type: ignore[return-value] # of the same length

    # -- the current family ----------------------------------------------------------------------------------------

    def _take_samples(self, rows: list[lexer.Row]) -> None:
        """Take the next samples of the current family."""
        self.sample_count += len(rows)
        if self.sample_count > self._max_series:
            raise MalformedPage(0, f"there are more series than the {self._max_series} that are taken", "limit")
        line, self._line = self._line, self._line + len(rows)
        offset, self._offset = self._offset, self._offset + sum([len(row[lexer.LINE]) for row in rows])
        if self._backslashes:
            self._report_escapes(rows, line)
        if self._resumed:
            self._more.setdefault(self._name, []).append(Span(line, offset, self._offset))
            return
        if self._check is None:
            self._first = line, offset
            self._check = check_for(self._metadata, self._labels, self._faults)
        if self._fault:
            return
        try:
            if not self._check.take(rows, line):
                self._check = self._check_points(self._metadata, [Span(*self._first, self._offset)])
        except InconsistentFamily as error:
            self._fault = error.fault

    def _report_escapes(self, rows: list[lexer.Row], line: int) -> None:
        for at, row in enumerate(rows, line):
            if b"\\" in row[lexer.LABELS] and lexer.INVALID_ESCAPE.search(row[lexer.LABELS]):
                self._faults.add("escape", at, "a label's value has a backslash that is not escaped")

    def _check_points(self, metadata: Metadata, spans: Iterable[Span]) -> FamilyCheck:
        """Check the family's samples in these spans again from the first one, point by point."""
        check = MetricPointCheck(metadata.name, metadata.type, self._labels, self._faults)
        for line, rows in self._sample_runs(spans):
            check.take(rows, line)
        return check

    def _sample_runs(self, spans: Iterable[Span]) -> Iterable[tuple[int, list[lexer.Row]]]:
        for span in spans:
            runs = lexer.sample_runs(self._page, span.start, span.end, span.line, openmetrics=self._openmetrics)
            for line, rows in runs:
                yield line, [row if row[lexer.NAME] else self._with_quoted_name(row) for row in rows]

    def _take_metadata(self, keyword: bytes, name: bytes, text: bytes) -> None:
        if name != self._metadata.name:
            decoded = name.decode()
            if decoded in self.families:
                self._resume_family(decoded)
            else:
                self._begin_family(name, decoded)
        if self._check or self._resumed:
            reason = f"{keyword.decode()} of {lexer.excerpt(name)} must stand before its samples, and is not used here"
            self._faults.add("metadata", self._line, reason)
        else:
            self._metadata.add(keyword, text, self._line, self._faults)

    def _take_other_name(self, name: bytes) -> None:
        """Take the name of a sample that the current family's type does not have, or that is another family's."""
        metadata = self._metadata
        if name == metadata.name:
            known = ", ".join(sorted(lexer.excerpt(one) for one in metadata.sample_names))
            reason = f"{lexer.excerpt(name)} is a {metadata.type}: its samples are {known}"
            if self._check or self._resumed:
                self._drop(self._name, Fault("name_clash", self._line, reason))
                metadata.allow_sample_name(name)
            else:
                metadata.reset_type(self._line, self._faults, reason)
            return
        decoded = name.decode()
        owner = decoded if decoded in self.families else self._claims.get(decoded, "")
        if owner:
            self._resume_family(owner)
            reason = f"{lexer.excerpt(name)} goes on here, but a metric's lines must stand together"
            self._faults.add("interleaved", self._line, reason)
        else:
            self._begin_family(name, decoded)

    def _begin_family(self, name: bytes, decoded: str) -> None:
        self._end_family()
        if len(self.families) >= self._max_series:
            raise MalformedPage(0, f"there are more metrics than the {self._max_series} that are taken", "limit")
        self._name = decoded
        self._metadata = Metadata(name, openmetrics=self._openmetrics)
        self._begin = self._offset

    def _resume_family(self, name: str) -> None:
        self._end_family()
        self._name = name
        self._metadata = Metadata(name.encode(), openmetrics=self._openmetrics)
        self._metadata.set_type(self.families[name].type)
        self._resumed = True

    def _drop(self, name: str, fault: Fault) -> None:
        """Drop the current family, or one that has ended. The first fault of a family counts."""
        if name == self._name and not self._resumed:
            self._fault = self._fault or fault
        else:
            self.dropped.setdefault(name, fault)

    # -- families that have ended ----------------------------------------------------------------------------------

    def _end_family(self) -> None:
        """End the current family: check it as a whole, and keep it."""
        name, metadata, check, resumed = self._name, self._metadata, self._check, self._resumed
        self._name, self._check, self._resumed = "", None, False
        if not name or resumed:
            return
        metadata.finish(self._line - 1, self._faults)
        line, start = self._first if check else (self._line, self._offset)
        family = Family(name, metadata.type, _NO_SAMPLES, self._begin, line, start, self._offset)
        fault, self._fault = self._fault, None
        if check:
            fault = fault or self._finish_check(check, family)
        if self._openmetrics and name in self._claims:
            self._faults.add("metadata", line, f"the name {name} belongs to another metric already")
        self.families[name] = family
        if fault:
            self._drop_ended(family, fault)
        if metadata.suffixes != _NO_SUFFIX:
            self._claim_names(metadata, line)
        if self._used or family.suffixes not in _UNSUFFIXED:
            self._use_names(family)

    def _finish_check(self, check: FamilyCheck, family: Family) -> Fault | None:
        """Complete the family from its check. Return the fault for which it must be dropped, or None."""
        try:
            check.finish(self._page, family.spans)
        except InconsistentFamily as error:
            return error.fault
        finally:
            family.suffixes = check.suffixes
            family.valid_exemplars = check.valid_exemplars
            family.repeated_series = check.repeated_series
        return None

    def _drop_ended(self, family: Family, fault: Fault) -> None:
        """Drop a family that has ended. Read its samples' names again: its check may not have seen all of them."""
        self.dropped[family.name] = fault
        cut = len(family.name.encode())
        names = {row[lexer.NAME] for _, rows in self._sample_runs(family.spans) for row in rows}
        family.suffixes = suffixes_of({name[cut:] for name in names})

    def _claim_names(self, metadata: Metadata, line: int) -> None:
        """Claim the names that the family's samples may have."""
        for suffix in metadata.suffixes:
            if suffix:
                name = (metadata.name + suffix).decode()
                owner = self._claims.setdefault(name, metadata.name.decode())
                if self._openmetrics and (owner != metadata.name.decode() or name in self.families):
                    self._faults.add("metadata", line, f"the name {name} belongs to another metric already")

    def _use_names(self, family: Family) -> None:
        """Register the names that the family's samples have. Drop both families if another one has such a name."""
        for suffix in family.suffixes:
            name = family.name + suffix
            other = self.families.get(name) if suffix else None
            owner = name if other and "" in other.suffixes else self._used.get(name, family.name)
            if suffix:
                self._used.setdefault(name, family.name)
            if owner != family.name:
                reason = f"samples of {owner} and of {family.name} are called {name}"
                for one in (owner, family.name):
                    self._drop(one, Fault("name_clash", family.line, reason))

    def _recheck(self, family: Family) -> None:
        """Check a family that was resumed, all its spans in one go."""
        family.more = tuple(self._more[family.name])
        before = self.dropped.pop(family.name, None)
        if before and before.kind == "name_clash":
            self.dropped[family.name] = before
            return
        metadata = Metadata(family.name.encode(), openmetrics=self._openmetrics)
        metadata.set_type(family.type)
        check = check_for(metadata, self._labels, self._faults)
        fault: Fault | None = None
        try:
            for line, rows in self._sample_runs(family.spans):
                if not check.take(rows, line):
                    check = self._check_points(metadata, family.spans)
                    break
        except InconsistentFamily as error:
            fault = error.fault
        fault = fault or self._finish_check(check, family)
        if fault:
            self._drop_ended(family, fault)
        self._use_names(family)
