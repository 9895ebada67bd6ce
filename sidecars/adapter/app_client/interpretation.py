"""What an app's answer says: metrics, or a health document that is translated into metrics. No I/O.

An answer that is not whole or not of a known format is not used. Compressed answers are unpacked here, and no further
than `max_body`: the adapter asks for plain bytes, so who compresses all the same gets no more room by it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from sidecars.adapter.app_client.outcome import AppResponse, NoResponse, Outcome
from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import FaultKind, MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.health import documents, json_paths, to_metrics
from sidecars.adapter.health.documents import SUCCESS, DocumentOptions, Health
from sidecars.adapter.health.json_paths import JsonPath
from sidecars.adapter.health.kubernetes_lines import read_text
from sidecars.adapter.health.status_words import BUILT_IN, StatusWords
from sidecars.adapter.health.strict_json import NotAHealthDocument, parse_json
from sidecars.adapter.verdict.dialect_negotiation import SourceFormat
from sidecars.chassis.config.setting_types import format_size

_SUCCESS = range(200, 300)
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}
_JSON_BEGINS = (b"", b"{", b"[", b'"', b"<")  # of what is called JSON, and is, or is refused as being none
_LONGEST_WORD = 64  # bytes of an answer that may be one word about health
_MOST_LINES = 64 * 1024  # bytes of Kubernetes' lines about health


class UnusableResponse(Exception):
    """There is no answer that can be used. `phrase` follows the app's URL in a sentence.

    `faults` counts what is wrong with a page of metrics.
    """

    def __init__(self, phrase: str, faults: Mapping[FaultKind, int] | None = None) -> None:
        super().__init__(phrase)
        self.phrase = phrase
        self.faults = faults or {}


@dataclass(frozen=True, slots=True)
class InterpretationOptions:
    """How much is taken of an answer, and how it is to be understood.

    select   what is taken of JSON that is of no known dialect
    words    what status words mean
    valid    the HTTP statuses that are no failure by themselves; None for those of each kind of answer
    source   the format, where the app's Content-Type does not tell it
    """

    max_body: int
    max_series: int
    select: tuple[JsonPath, ...] = ()
    words: StatusWords = BUILT_IN
    valid: Container[int] | None = None
    source: SourceFormat = "auto"


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A whole answer, understood.

    health   None where the app has sent metrics, or numbers were selected
    unknown  the series of the answer that have no usable value
    problem  why the app fails whatever its numbers are: a phrase that follows its URL; "" where it does not
    """

    exposition: Exposition
    health: Health | None = None
    unknown: UnknownValues = NONE_UNKNOWN
    problem: str = ""


def read(outcome: Outcome, limits: InterpretationOptions) -> Interpretation:
    """Understand the answer, whatever its status: a health document of a sick app comes with 503. Raises Unreadable."""
    if isinstance(outcome, NoResponse):
        raise UnusableResponse(outcome.phrase)
    found = outcome.interpretation
    if not isinstance(found, Interpretation | UnusableResponse):
        found = interpret_response(outcome, limits)
    if isinstance(found, UnusableResponse):
        raise UnusableResponse(found.phrase, found.faults)
    return found


def interpret_response(
    reply: AppResponse, limits: InterpretationOptions, checkpoint: Checkpoint = never_cancelled
) -> Interpretation | UnusableResponse:
    """Understand the answer, or say why it cannot be. `proceed` is called now and then, and may raise to end it."""
    try:
        return _of_reply(reply, limits, checkpoint)
    except UnusableResponse as error:
        return error


def _of_reply(reply: AppResponse, limits: InterpretationOptions, checkpoint: Checkpoint) -> Interpretation:
    body = unpacked(reply, limits.max_body)
    content_type = reply.headers.get("content-type", "")
    try:
        found = _health_in(body, content_type, reply.status, limits)
    except NotAHealthDocument as error:
        raise UnusableResponse(str(error)) from None
    if found:
        return found
    if reply.status not in (_SUCCESS if limits.valid is None else limits.valid):
        raise UnusableResponse(f"answered with the status {reply.status}")
    exposition = _parse(body, content_type, limits, whole=_is_whole(reply), checkpoint=checkpoint)
    if not exposition.usable:
        raise UnusableResponse(_why_nothing(exposition), exposition.fault_counts())
    return Interpretation(exposition)


def _is_whole(reply: AppResponse) -> bool:
    """True if the end of the body was marked by more than the end of the connection."""
    marks = (reply.headers.get("content-length"), reply.headers.get("transfer-encoding"), _encoding(reply))
    return any(marks)


def _encoding(reply: AppResponse) -> str:
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _why_nothing(exposition: Exposition) -> str:
    for name, fault in exposition.dropped.items():
        return f"answered with no metric that can be used: {lexer.excerpt(name.encode())}: {fault}"
    return "answered without a single metric"


def unpacked(reply: AppResponse, max_body: int) -> bytes:
    """The body without its Content-Encoding. Raises Unreadable."""
    encoding = _encoding(reply)
    if not encoding:
        return reply.body
    wbits = _WBITS.get(encoding)
    if wbits is None:
        raise UnusableResponse("answered in a Content-Encoding that was not asked for")
    unpacker = zlib.decompressobj(wbits)
    try:
        body = unpacker.decompress(reply.body, max_body + 1)
    except zlib.error:
        raise UnusableResponse(f"answered with what is not {encoding}, though it says so") from None
    if len(body) > max_body:
        raise UnusableResponse(f"answered with more than {format_size(max_body)} once unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise UnusableResponse(f"answered with {encoding} that does not end where it should")
    return body


def _parse(
    body: bytes,
    content_type: str,
    limits: InterpretationOptions,
    *,
    whole: bool = True,
    checkpoint: Checkpoint = never_cancelled,
) -> Exposition:
    source = "auto" if limits.source == "json" else limits.source
    try:
        return parse_page(body, content_type, limits.max_series, source=source, whole=whole, checkpoint=checkpoint)
    except MalformedPage as error:
        raise UnusableResponse(f"answered with malformed metrics: {error}", Counter([error.fault.kind])) from None


def _translated(page: bytes, limits: InterpretationOptions) -> Exposition:
    """A page of our own."""
    try:
        return parse_page(page, to_metrics.CONTENT_TYPE, limits.max_series)
    except MalformedPage as error:  # more of it than is taken
        raise UnusableResponse(f"answered with too much: {error}") from None


def _of_health(health: Health, status: int, limits: InterpretationOptions) -> Interpretation:
    page = to_metrics.page_of_health(health, status, numbers=bool(limits.words))
    worse = status not in _options(limits).valid and (health.problem or health.condition == "unknown")
    problem = f"answered with the status {status}, and does not say that it is ill" if worse else ""
    return Interpretation(_translated(page, limits), health, problem=problem)


def _options(limits: InterpretationOptions) -> DocumentOptions:
    return DocumentOptions(limits.words, SUCCESS if limits.valid is None else limits.valid, limits.max_series)


def _from_json(document: Any, status: int, limits: InterpretationOptions) -> Interpretation:
    options = _options(limits)
    if not limits.select:
        return _of_health(documents.read_json(document, status, options), status, limits)
    selection = json_paths.select(limits.select, document, limits.words, limits.max_series)
    unknown = UnknownValues(selection.unknown)
    counts = {selector.name: unknown.count(selector.name) for selector in limits.select}
    page = to_metrics.page_of_selected(selection.values, status, counts)
    problem = "" if status in options.valid else f"answered with the status {status}"
    return Interpretation(_translated(page, limits), None, unknown, problem)


def _health_in(body: bytes, content_type: str, status: int, limits: InterpretationOptions) -> Interpretation | None:
    """The health document, or the numbers selected from JSON; None where it can only be metrics. Raises NotHealth."""
    if limits.source in ("text", "openmetrics"):
        return None
    media_type = content_type.partition(";")[0].strip().lower()
    if limits.source == "json" or media_type == "application/json" or media_type.endswith("+json"):
        if limits.source == "auto" and body.lstrip()[:1] not in _JSON_BEGINS:
            return None
        return _from_json(parse_json(body), status, limits)
    return None if media_type == "application/openmetrics-text" else _health_in_text(body, status, limits)


def _health_in_text(body: bytes, status: int, limits: InterpretationOptions) -> Interpretation | None:
    """JSON that is labelled as text, Kubernetes' lines, or one word; None where it is none of these."""
    start = body[:_LONGEST_WORD].lstrip()
    if start.startswith((b"{", b"[")):
        try:
            document = parse_json(body)
        except NotAHealthDocument:
            if start.startswith(b"{"):
                return None  # a metric's line may begin with a brace, too
        else:
            return _from_json(document, status, limits)
    if len(body) > (_MOST_LINES if start.startswith(b"[") else _LONGEST_WORD):
        return None
    health = read_text(body.decode(errors="replace"), status, _options(limits))
    return _of_health(health, status, limits) if health else None
