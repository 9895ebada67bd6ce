"""What an app's answer says: metrics, or a health document that is translated into metrics. No I/O.

The whole answer is understood, or nothing of it is used. Compressed answers are unpacked here, and no further than
`max_body`: the adapter asks for plain bytes, so who compresses all the same gets no more room by it.
"""

from __future__ import annotations

import zlib
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from chassis.kinds import show_size
from sidecars.adapter import healthdoc, selectors, translation
from sidecars.adapter.exposition import Exposition, Malformed, parse
from sidecars.adapter.healthdoc import SUCCESS, Health, HealthOptions, NotHealth
from sidecars.adapter.kubernetes_lines import read_text
from sidecars.adapter.outcome import NoReply, Outcome, Reply
from sidecars.adapter.selectors import Selector
from sidecars.adapter.status_words import BUILT_IN, StatusWords
from sidecars.adapter.unknown_values import NONE_UNKNOWN, UnknownValues

_SUCCESS = range(200, 300)
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}
_LONGEST_WORD = 64  # bytes of an answer that may be one word about health
_MOST_LINES = 64 * 1024  # bytes of Kubernetes' lines about health


class Unreadable(Exception):
    """There is no answer that can be used. `phrase` follows the app's URL in a sentence."""

    def __init__(self, phrase: str) -> None:
        super().__init__(phrase)
        self.phrase = phrase


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken of an answer, and how it is to be understood.

    select   what is taken of JSON that is of no known dialect
    words    what status words mean
    valid    the HTTP statuses that are no failure by themselves; None for those of each kind of answer
    """

    max_body: int
    max_series: int
    select: tuple[Selector, ...] = ()
    words: StatusWords = BUILT_IN
    valid: Container[int] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole answer, understood.

    health   None where the app has sent metrics, or numbers were selected
    unknown  the series of the answer that have no usable value
    problem  why the app fails whatever its numbers are: a phrase that follows its URL; "" where it does not
    """

    exposition: Exposition
    health: Health | None = None
    unknown: UnknownValues = NONE_UNKNOWN
    problem: str = ""


def read(outcome: Outcome, limits: Limits) -> Reading:
    """Understand the answer, whatever its status: a health document of a sick app comes with 503. Raises Unreadable."""
    if isinstance(outcome, NoReply):
        raise Unreadable(outcome.phrase)
    return _of_reply(outcome, limits)


def _of_reply(reply: Reply, limits: Limits) -> Reading:
    body = unpacked(reply, limits.max_body)
    content_type = reply.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if media_type == "application/json" or media_type.endswith("+json"):
            return _from_json(healthdoc.parse_json(body), reply.status, limits)
        if media_type in ("", "text/plain"):
            found = _health_in_text(body, reply.status, limits)
            if found:
                return found
    except NotHealth as error:
        raise Unreadable(str(error)) from None
    if reply.status not in (_SUCCESS if limits.valid is None else limits.valid):
        raise Unreadable(f"answered with the status {reply.status}")
    exposition = _parse(body, content_type, limits)
    if not exposition.series:
        raise Unreadable("answered without a single metric")
    return Reading(exposition)


def unpacked(reply: Reply, max_body: int) -> bytes:
    """The body without its Content-Encoding. Raises Unreadable."""
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return reply.body
    wbits = _WBITS.get(encoding)
    if wbits is None:
        raise Unreadable("answered in a Content-Encoding that was not asked for")
    unpacker = zlib.decompressobj(wbits)
    try:
        body = unpacker.decompress(reply.body, max_body + 1)
    except zlib.error:
        raise Unreadable(f"answered with what is not {encoding}, though it says so") from None
    if len(body) > max_body:
        raise Unreadable(f"answered with more than {show_size(max_body)} once unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable(f"answered with {encoding} that does not end where it should")
    return body


def _parse(body: bytes, content_type: str, limits: Limits) -> Exposition:
    try:
        return parse(body, content_type, limits.max_series)
    except Malformed as error:
        raise Unreadable(f"answered with malformed metrics: {error}") from None


def _of_health(health: Health, status: int, limits: Limits) -> Reading:
    page = translation.page_of_health(health, status, numbers=bool(limits.words))
    contradiction = health.problem if health.condition == "fail" else ""
    problem = f"answered with the status {status}, though it says that it is well" if contradiction else ""
    return Reading(_parse(page, translation.CONTENT_TYPE, limits), health, problem=problem)


def _options(limits: Limits) -> HealthOptions:
    return HealthOptions(limits.words, SUCCESS if limits.valid is None else limits.valid, limits.max_series)


def _from_json(document: Any, status: int, limits: Limits) -> Reading:
    options = _options(limits)
    if not limits.select:
        return _of_health(healthdoc.read_json(document, status, options), status, limits)
    selection = selectors.select(limits.select, document, limits.words, limits.max_series)
    unknown = UnknownValues(selection.unknown)
    counts = {selector.name: unknown.count(selector.name) for selector in limits.select}
    page = translation.page_of_selected(selection.values, status, counts)
    problem = "" if status in options.valid else f"answered with the status {status}"
    return Reading(_parse(page, translation.CONTENT_TYPE, limits), None, unknown, problem)


def _health_in_text(body: bytes, status: int, limits: Limits) -> Reading | None:
    """JSON that is labelled as text, Kubernetes' lines, or one word; None where it is none of these."""
    start = body[:_LONGEST_WORD].lstrip()
    if start.startswith((b"{", b"[")):
        try:
            document = healthdoc.parse_json(body)
        except NotHealth:
            if start.startswith(b"{"):
                return None  # a metric's line may begin with a brace, too
        else:
            return _from_json(document, status, limits)
    if len(body) > (_MOST_LINES if start.startswith(b"[") else _LONGEST_WORD):
        return None
    health = read_text(body.decode(errors="replace"), status, _options(limits))
    return _of_health(health, status, limits) if health else None
