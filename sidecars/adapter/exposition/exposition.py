"""An app's metrics page: parsed from its bytes, checked to the letter, and kept in a form that is small. No I/O.

    exposition = parse(body, "text/plain; version=0.0.4", max_series=10_000)   # or Malformed
    exposition.select("up")                                                    # its samples
    exposition.condemned                                                       # families that are left out, and why

What is kept is the page itself and, for each metric family, where its lines begin and end: a hundred thousand series
weigh no more than their bytes. Samples come into being when they are asked for.

`faults` says what becomes of a page that is not quite right. `reader` checks it; `families` and `points` know what each
type demands of its samples, `lines` and `labels` how a line is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.family_parser import Family, FamilyParser, described
from sidecars.adapter.exposition.labels import Shapes, quoted_name, unescaped
from sidecars.adapter.exposition.metadata import SUFFIXES, Metadata
from sidecars.adapter.exposition.page_faults import MOST_TOLD, Fault, FaultKind, Faults
from sidecars.adapter.exposition.sample import Sample

_SUFFIXES = tuple(
    sorted({suffix.decode() for types in SUFFIXES.values() for known in types.values() for suffix in known} - {""})
)

Conditions = Sequence[tuple[str, Callable[[str], bool]]]
"""Labels, and what is asked of their values; of one that is not there, "" is."""

_MOST_ANSWERS = 10_000  # kept of one condition


class Exposition:
    """A page of metrics. Read-only."""

    def __init__(self, page: bytes, reader: FamilyParser, faults: Faults, *, openmetrics: bool) -> None:
        self.page = page
        self.dropped = reader.unsound
        """Families that contradict themselves, and so are left out: by name, why."""
        self.families = {name: one for name, one in reader.families.items() if name not in self.dropped}
        """By name, in the page's order."""
        self.faults = faults
        """What was found and taken all the same."""
        self.series = reader.series
        """How many samples it has, those of condemned families among them."""
        self.openmetrics = openmetrics
        self.quoted_names = reader.quoted_names
        """True if a metric's or a label's name is written in quotes, as UTF-8 names must be."""
        self.unusable: dict[str, Fault] = {}
        """By the names that samples of condemned families have or could have: why."""
        for name, fault in self.dropped.items():
            family = reader.families[name]
            suffixes = {*family.suffixes, *(suffix.decode() for suffix in SUFFIXES[openmetrics][family.type])}
            names = [name + suffix for suffix in suffixes if name + suffix not in self.families]
            self.unusable.update(dict.fromkeys(names, fault))

    @property
    def usable(self) -> bool:
        """True if it has a sample that can be used."""
        return any(family.suffixes for family in self.families.values())

    @property
    def must_be_rewritten(self) -> bool:
        """True if the page cannot be handed on as it is: other readers may refuse it."""
        return bool(self.dropped) or self.faults.spoil

    def fault_sentences(self) -> list[str]:
        """Its faults as sentences: those of families that are left out first."""
        left_out = [f"{lexer.excerpt(name.encode())} is left out: {fault}" for name, fault in self.dropped.items()]
        return [*left_out, *map(str, self.faults.told)][:MOST_TOLD]

    def fault_counts(self) -> Counter[FaultKind]:
        """How many faults of each kind it has."""
        return self.faults.counts + Counter(fault.kind for fault in self.dropped.values())

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
        points = self.openmetrics and any(sample.timestamp is not None for sample in found)
        if not points and not family.repeated:
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
        for rows in self.rows(family):
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

    def rows(self, family: Family) -> Iterator[list[lexer.Row]]:
        """The lines among which the family's samples are."""
        for piece in family.pieces:
            yield from lexer.scan(self.page, piece.start, piece.end, openmetrics=self.openmetrics)

    def metadata(self, family: Family) -> Metadata:
        """The family's HELP, TYPE and UNIT, read again."""
        metadata, faults = Metadata(family.name.encode(), openmetrics=self.openmetrics), Faults()
        for rows in lexer.scan(self.page, family.begin, family.start, openmetrics=self.openmetrics):
            for row in rows:
                found = described(row, 0, openmetrics=self.openmetrics)
                if found:
                    metadata.add(found[0], found[2], 0, faults)
        metadata.finish(0, faults)
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
