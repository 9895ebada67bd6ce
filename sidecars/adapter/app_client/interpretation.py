"""The meaning of an app's response: metrics, or a health document that is translated into metrics. No I/O.

    body ─▶ decompression ─▶ JSON?                 ─▶ ADAPTER_SELECT set: the selected numbers
                             │                        else: a health document (package health)
                             ├─ Kubernetes' lines, or one word ─▶ a health document
                             └─ else ─▶ a metrics page (package exposition)

The format follows from `Content-Type`, and from the body where that header names no known format, or from
ADAPTER_SOURCE_FORMAT. A response that is incomplete, or in no known format, is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from sidecars.adapter.app_client.decompression import BadEncoding, content_encoding, decompress
from sidecars.adapter.app_client.outcome import AppResponse, NoResponse, Outcome
from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import FaultKind, MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.health import to_metrics
from sidecars.adapter.health.documents import SUCCESS, DocumentOptions, HealthDocument
from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.json_path_selection import select_values
from sidecars.adapter.health.json_paths import JsonPath
from sidecars.adapter.health.kubernetes_lines import read_text
from sidecars.adapter.health.status_words import BUILT_IN, StatusWords
from sidecars.adapter.health.strict_json import MOST_VALUES, NotAHealthDocument, parse_json
from sidecars.adapter.setting_types import SourceFormat

_SUCCESS = range(200, 300)
_JSON_BEGINS = (b"", b"{", b"[", b'"', b"<")  # first bytes of a body that is read as JSON if its label is JSON
_MAX_WORD = 64  # bytes of a body that may be one status word
_MAX_LINES = 64 * 1024  # bytes of a body in Kubernetes' lines


class UnusableResponse(Exception):
    """The response cannot be used. `phrase` follows the app's URL in a sentence.

    faults  the faults of a metrics page, counted by kind
    """

    def __init__(self, phrase: str, faults: Mapping[FaultKind, int] | None = None) -> None:
        super().__init__(phrase)
        self.phrase = phrase
        self.faults = faults or {}


@dataclass(frozen=True, slots=True)
class InterpretationOptions:
    """Limits of a response, and the settings for its interpretation.

    max_body        bytes of the body once it is unpacked
    max_series      samples of a metrics page
    json_paths      the numbers to select from JSON (ADAPTER_SELECT); with any, JSON is no health document
    status_words    the meaning of status words
    valid_statuses  the HTTP statuses that are no failure; None for the default of each kind of response
    source_format   the format of the body; `auto` to find it out
    """

    max_body: int
    max_series: int
    json_paths: tuple[JsonPath, ...] = ()
    status_words: StatusWords = BUILT_IN
    valid_statuses: Container[int] | None = None
    source_format: SourceFormat = "auto"


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A complete response, interpreted.

    exposition  the metrics: the app's own, or the translation of its health document or of selected numbers
    health      the health document; None if the app sent metrics, or if numbers were selected
    unknown     series of the response without a usable value
    problem     the reason why the app fails whatever its numbers are: a phrase that follows the app's URL; or ""
    """

    exposition: Exposition
    health: HealthDocument | None = None
    unknown: UnknownValues = NONE_UNKNOWN
    problem: str = ""


def interpret(outcome: Outcome, options: InterpretationOptions) -> Interpretation:
    """Return the interpretation of an outcome. Raises UnusableResponse.

    Any HTTP status is accepted for a health document, since a failing app sends its document with 503.
    """
    if isinstance(outcome, NoResponse):
        raise UnusableResponse(outcome.phrase)
    found = outcome.interpretation
    if not isinstance(found, Interpretation | UnusableResponse):
        found = interpret_response(outcome, options)
    if isinstance(found, UnusableResponse):
        raise UnusableResponse(found.phrase, found.faults)  # a new one: an exception that is kept must get no traceback
    return found


def interpret_response(
    response: AppResponse, options: InterpretationOptions, checkpoint: Checkpoint = never_cancelled
) -> Interpretation | UnusableResponse:
    """Interpret a response, or return the reason why it cannot be used.

    `checkpoint` is called at every part of a large page, and may raise to end the work.
    """
    try:
        return _Interpreter(response, options).interpret(checkpoint)
    except UnusableResponse as error:
        return error
    except (NotAHealthDocument, BadEncoding) as error:
        return UnusableResponse(str(error))


class _Interpreter:
    """Interprets one response."""

    def __init__(self, response: AppResponse, options: InterpretationOptions) -> None:
        self._response = response
        self._http_status = response.status
        self._options = options
        valid = SUCCESS if options.valid_statuses is None else options.valid_statuses
        self._most_values = max(MOST_VALUES, 5 * options.max_series)
        self._document_options = DocumentOptions(options.status_words, valid, options.max_series)

    def interpret(self, checkpoint: Checkpoint) -> Interpretation:
        """Raises UnusableResponse, NotAHealthDocument and BadEncoding."""
        body = decompress(self._response, self._options.max_body)
        content_type = self._response.headers.get("content-type", "")
        found = self._health(body, content_type)
        if found:
            return found
        valid = self._options.valid_statuses
        if self._http_status not in (_SUCCESS if valid is None else valid):
            raise UnusableResponse(f"answered with the status {self._http_status}")
        exposition = self._metrics(body, content_type, checkpoint)
        if not exposition.usable:
            raise UnusableResponse(_why_nothing(exposition), exposition.fault_counts())
        return Interpretation(exposition)

    def _metrics(self, body: bytes, content_type: str, checkpoint: Checkpoint) -> Exposition:
        """Parse the body as a metrics page."""
        limit, whole = self._options.max_series, _has_marked_end(self._response)
        source = "auto" if self._options.source_format == "json" else self._options.source_format
        try:
            return parse_page(body, content_type, limit, source=source, whole=whole, checkpoint=checkpoint)
        except MalformedPage as error:
            raise UnusableResponse(f"answered with malformed metrics: {error}", Counter([error.fault.kind])) from None

    # -- health documents, and numbers selected from JSON ---------------------------------------------------------

    def _health(self, body: bytes, content_type: str) -> Interpretation | None:
        """Interpret a health document, or select numbers from JSON. Return None if the body can only be metrics."""
        source = self._options.source_format
        if source in ("text", "openmetrics"):
            return None
        media_type = content_type.partition(";")[0].strip().lower()
        if source == "json" or media_type == "application/json" or media_type.endswith("+json"):
            if source == "auto" and body.lstrip()[:1] not in _JSON_BEGINS:
                return None
            return self._from_json(parse_json(body, self._most_values))
        return None if media_type == "application/openmetrics-text" else self._from_text(body)

    def _from_text(self, body: bytes) -> Interpretation | None:
        """Interpret JSON that is labelled as text, Kubernetes' lines, or one word. Return None for anything else."""
        start = body[:_MAX_WORD].lstrip()
        if start.startswith((b"{", b"[")):
            try:
                document = parse_json(body, self._most_values)
            except NotAHealthDocument:
                if start.startswith(b"{"):
                    return None  # a line of a metrics page may begin with a brace, too
            else:
                return self._from_json(document)
        if len(body) > (_MAX_LINES if start.startswith(b"[") else _MAX_WORD):
            return None
        health = read_text(body.decode(errors="replace"), self._http_status, self._document_options)
        return self._from_document(health) if health else None

    def _from_json(self, document: Any) -> Interpretation:
        if not self._options.json_paths:
            return self._from_document(read_json(document, self._http_status, self._document_options))
        paths, words = self._options.json_paths, self._options.status_words
        selection = select_values(paths, document, words, self._options.max_series)
        unknown = UnknownValues(selection.unknown)
        counts = {path.name: unknown.count(path.name) for path in paths}
        page = to_metrics.page_of_selected(selection.values, self._http_status, counts)
        valid = self._http_status in self._document_options.valid_statuses
        problem = "" if valid else f"answered with the status {self._http_status}"
        return Interpretation(self._translated(page), None, unknown, problem)

    def _from_document(self, health: HealthDocument) -> Interpretation:
        page = to_metrics.page_of_health(health, self._http_status, numbers=bool(self._options.status_words))
        valid = self._http_status in self._document_options.valid_statuses
        worse = not valid and (health.problem or health.status == "unknown")
        problem = f"answered with the status {self._http_status}, and does not report a failure" if worse else ""
        return Interpretation(self._translated(page), health, problem=problem)

    def _translated(self, page: bytes) -> Exposition:
        """Parse a page that `to_metrics` has written."""
        try:
            return parse_page(page, to_metrics.CONTENT_TYPE, self._options.max_series)
        except MalformedPage as error:  # more series than ADAPTER_MAX_SERIES
            raise UnusableResponse(f"answered with too much: {error}") from None


def _has_marked_end(response: AppResponse) -> bool:
    """True if the end of the body was marked by more than the end of the connection."""
    headers = response.headers
    return any((headers.get("content-length"), headers.get("transfer-encoding"), content_encoding(response)))


def _why_nothing(exposition: Exposition) -> str:
    for name, fault in exposition.dropped.items():
        return f"answered without a usable metric: {lexer.excerpt(name.encode())}: {fault}"
    return "answered without a single metric"
