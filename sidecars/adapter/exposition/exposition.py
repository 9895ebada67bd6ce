"""A parsed metrics page: its metric families, and the samples that a name and label matchers select. No I/O.

The page itself is kept and, for each metric family, the offsets of its lines: a hundred thousand series need little
more memory than their bytes. `select` makes samples on demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.family import Family
from sidecars.adapter.exposition.family_parser import FamilyParser
from sidecars.adapter.exposition.labels import LabelParser, split_quoted_name, unescape
from sidecars.adapter.exposition.metadata import SUFFIXES, Metadata, parse_metadata_row
from sidecars.adapter.exposition.page_faults import MAX_REPORTED, Fault, FaultKind, Faults
from sidecars.adapter.exposition.sample import Sample

_SUFFIXES = tuple(
    sorted({suffix.decode() for types in SUFFIXES.values() for known in types.values() for suffix in known} - {""})
)

LabelTests = Sequence[tuple[str, Callable[[str], bool]]]
"""The names of labels, each with the test of a label matcher. The value of a label that does not exist is ""."""

_MAX_CACHED = 10_000  # values of one label whose test is remembered


class Exposition:
    """A page of metrics. Read-only. It lives as long as the response that it was parsed from."""

    def __init__(self, page: bytes, parsed: FamilyParser, faults: Faults, *, openmetrics: bool) -> None:
        self.page = page
        self.dropped = parsed.dropped
        """The families that contradict themselves, and are not used: by name, the fault."""
        self.families = {name: one for name, one in parsed.families.items() if name not in self.dropped}
        """The families by name, in the page's order."""
        self.faults = faults
        """The faults that lose nothing."""
        self.sample_count = parsed.sample_count
        """The number of samples, those of dropped families included."""
        self.openmetrics = openmetrics
        self.quoted_names = parsed.quoted_names
        """True if a metric's or a label's name is written in quotes, as UTF-8 names must be."""
        self.unusable: dict[str, Fault] = {}
        """The names that samples of dropped families have or could have: by name, the fault."""
        for name, fault in self.dropped.items():
            family = parsed.families[name]
            suffixes = {*family.suffixes, *(suffix.decode() for suffix in SUFFIXES[openmetrics][family.type])}
            names = [name + suffix for suffix in suffixes if name + suffix not in self.families]
            self.unusable.update(dict.fromkeys(names, fault))

    @property
    def usable(self) -> bool:
        """True if there is a sample that can be used."""
        return any(family.suffixes for family in self.families.values())

    @property
    def must_be_rewritten(self) -> bool:
        """True if the page cannot be handed on byte for byte: other readers may refuse it."""
        return bool(self.dropped) or self.faults.in_body

    def fault_sentences(self) -> list[str]:
        """Return the first faults as sentences, those of dropped families before the others."""
        left_out = [f"{lexer.excerpt(name.encode())} is left out: {fault}" for name, fault in self.dropped.items()]
        return [*left_out, *map(str, self.faults.reported)][:MAX_REPORTED]

    def fault_counts(self) -> Counter[FaultKind]:
        """Return the number of faults of each kind."""
        return self.faults.counts + Counter(fault.kind for fault in self.dropped.values())

    def metric_names(self) -> Iterator[str]:
        """Yield the names of all samples (`x_bucket`, not the family's `x`), each once, in the page's order."""
        for family in self.families.values():
            for suffix in family.suffixes:
                yield family.name + suffix

    def select(self, name: str, tests: LabelTests = ()) -> list[Sample]:
        """Return the samples of that name whose labels pass all tests.

        OpenMetrics allows several points in time of one series: of these the last one counts.
        """
        family = self._find_family(name)
        if family is None:
            return []
        wanted = name if len(family.suffixes) > 1 else ""
        found = list(self._samples(family, wanted.encode(), tests))
        points = self.openmetrics and any(sample.timestamp is not None for sample in found)
        if not points and not family.repeated_series:
            return found
        return list({sample.labels: sample for sample in found}.values())

    def _find_family(self, name: str) -> Family | None:
        """Return the family that has samples of this name."""
        for suffix in ("", *_SUFFIXES):
            if name.endswith(suffix):
                family = self.families.get(name[: len(name) - len(suffix)])
                if family and suffix in family.suffixes:
                    return family
        return None

    def _samples(self, family: Family, wanted: bytes, tests: LabelTests) -> Iterator[Sample]:
        """Yield the family's samples whose labels pass the tests. `wanted` is their name, or empty for all names."""
        parser = LabelParser(openmetrics=self.openmetrics)
        matches = _row_filter(parser, tests) if tests else None
        scale = 1.0 if self.openmetrics else 1000.0  # units of a timestamp in a second
        raw_name, text_name = b"", ""
        for rows in self.rows(family):
            for _, name, raw_labels, value, timestamp, *_rest in rows:
                if not value:
                    continue
                if not name:
                    name, raw_labels = split_quoted_name(raw_labels)  # noqa: PLW2901 - the same two, found elsewhere
                if wanted and name != wanted:
                    continue
                if matches and not matches(raw_labels):
                    continue
                if name != raw_name:
                    raw_name, text_name = name, name.decode()
                time = float(timestamp) / scale if timestamp else None
                yield Sample(text_name, None, float(value), time, raw_labels, parser)

    def rows(self, family: Family) -> Iterator[list[lexer.Row]]:
        """Yield the rows of the family's spans: its samples, and comments between them."""
        for span in family.spans:
            yield from lexer.scan(self.page, span.start, span.end, openmetrics=self.openmetrics)

    def metadata(self, family: Family) -> Metadata:
        """Parse the family's HELP, TYPE and UNIT again."""
        metadata, faults = Metadata(family.name.encode(), openmetrics=self.openmetrics), Faults()
        for rows in lexer.scan(self.page, family.begin, family.start, openmetrics=self.openmetrics):
            for row in rows:
                found = parse_metadata_row(row, 0, openmetrics=self.openmetrics)
                if found:
                    keyword, _, text = found
                    metadata.add(keyword, text, 0, faults)
        metadata.finish(0, faults)
        return metadata


def _row_filter(parser: LabelParser, tests: LabelTests) -> Callable[[bytes], bool]:
    """Return a function that is True for a raw label set that passes the tests.

    It remembers the result for each raw value, since values recur.
    """
    cached = [(label.encode(), test, dict[bytes, bool]()) for label, test in tests]

    def matches(raw_labels: bytes) -> bool:
        shape, values = parser.parse(raw_labels)
        for label, test, results in cached:
            index = shape.index(label)
            raw = values[index] if index >= 0 else b""
            result = results.get(raw)
            if result is None:
                result = test(unescape(raw))
                if len(results) < _MAX_CACHED:
                    results[raw] = result
            if not result:
                return False
        return True

    return matches
