"""A health document in the one form into which all dialects are read. No I/O.

`json_documents` reads the dialects of JSON, and `kubernetes_lines` those of text. If a document and the HTTP status of
its response contradict each other, the worse of the two counts.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sidecars.adapter.health.status_words import BUILT_IN, UP, HealthStatus, StatusWords
from sidecars.adapter.health.strict_json import NotAHealthDocument
from sidecars.chassis.runtime.printable import truncate

SUCCESS: Container[int] = range(200, 400)
MAX_TEXT = 200  # characters of a name or a reason that the app has chosen
_SERIES = 6  # metrics series of a component, besides its values


@dataclass(frozen=True, slots=True)
class Component:
    """A part of an app, with the health that the app reports for it.

    values   the numbers that the document has for it, by name
    number   the number of its status word (`StatusWords.number`); None if the word is unknown
    """

    name: str
    status: HealthStatus
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    number: float | None = None


@dataclass(frozen=True, slots=True)
class HealthDocument:
    """The health that an app reports about itself.

    number    the number of its status word; None without a word, or if the word is unknown
    problem   the reason why it counts as worse than it reports, or as unknown; "" if it counts as it reports. It
              repeats nothing that the app has sent
    detail    the same with the app's own words: for probers, never for a log
    """

    status: HealthStatus
    components: tuple[Component, ...] = ()
    number: float | None = None
    problem: str = ""
    detail: str = ""

    @property
    def up(self) -> bool:
        """True if the status is `pass` or `warn`. The status `unknown` is not up."""
        return self.status in UP


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """Options for reading a document.

    status_words    the meaning of status words
    valid_statuses  the HTTP statuses that are no failure
    max_series      the most metrics series that the document may become
    """

    status_words: StatusWords = BUILT_IN
    valid_statuses: Container[int] = SUCCESS
    max_series: int = 1_000_000

    def with_http_status(self, document: HealthDocument, http_status: int) -> HealthDocument:
        """Return the document combined with the HTTP status: the worse of the two counts."""
        if not document.up or http_status in self.valid_statuses:
            return document
        problem = f"the app reports {document.status}, but answered with the status {http_status}"
        return replace(document, status="fail", problem=problem)


DEFAULT_OPTIONS = DocumentOptions()


def with_unique_names(components: Iterable[Component], max_series: int) -> tuple[Component, ...]:
    """Return the components, each with a name of its own: the second `db` is `db#2`. In one pass.

    Raises NotAHealthDocument as soon as they would become more than `max_series` series.
    """
    kept: dict[str, Component] = {}
    numbers: dict[str, int] = {}
    series = 0
    for component in components:
        series += _SERIES + len(component.values)
        if series > max_series:
            too_many = f"has more components than {max_series} series have room for: the limit is ADAPTER_MAX_SERIES"
            raise NotAHealthDocument(too_many)
        name = component.name
        if name in kept:
            number = numbers.get(name, 2)
            while (name := f"{component.name}#{number}") in kept:
                number += 1
            numbers[component.name] = number + 1
            component = Component(name, component.status, component.reason, component.values, component.number)  # noqa: PLW2901 - renamed
        kept[name] = component
    return tuple(kept.values())


def clean_text(text: str) -> str:
    """Return the text on one line, in characters that can be sent, and at most `MAX_TEXT`."""
    line = " ".join(text.split())
    line = line if line.isascii() else line.encode(errors="replace").decode()
    return truncate(line, MAX_TEXT)
