"""What an app's answer says: metrics, or a health document that is translated into metrics. No I/O.

The whole answer is understood, or nothing of it is used. Compressed answers are unpacked here, and no further than
`max_body`: the adapter asks for plain bytes, so who compresses all the same gets no more room by it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from chassis.kinds import show_size
from sidecars.adapter import healthdoc, selectors, translation
from sidecars.adapter.exposition import Exposition, Malformed, parse
from sidecars.adapter.healthdoc import Health, NotHealth
from sidecars.adapter.outcome import NoReply, Outcome, Reply
from sidecars.adapter.selectors import Selector

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
    """How much is taken of an answer, and what is taken of JSON that is of no known dialect."""

    max_body: int
    max_series: int
    select: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole answer, understood. `health` is None where the app has sent metrics, or numbers were selected."""

    exposition: Exposition
    health: Health | None = None


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
    if reply.status not in _SUCCESS:
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


def _translated(page: bytes, health: Health | None, limits: Limits) -> Reading:
    return Reading(_parse(page, translation.CONTENT_TYPE, limits), health)


def _from_json(document: Any, status: int, limits: Limits) -> Reading:
    if limits.select:
        found = selectors.select(limits.select, document)
        return _translated(translation.page_of_selected(found, status), None, limits)
    health = healthdoc.read_json(document, status)
    return _translated(translation.page_of_health(health, status), health, limits)


def _health_in_text(body: bytes, status: int, limits: Limits) -> Reading | None:
    """JSON that is labelled as text, Kubernetes' lines, or one word; None where it is none of these."""
    start = body[:_LONGEST_WORD].lstrip()
    if start.startswith((b"{", b"[")) and not start.startswith((b"[+]", b"[-]")):
        try:
            document = healthdoc.parse_json(body)
        except NotHealth:
            return None  # a metric's line may begin with a brace, too
        return _from_json(document, status, limits)
    if len(body) > (_MOST_LINES if start.startswith(b"[") else _LONGEST_WORD):
        return None
    health = healthdoc.read_text(body.decode(errors="replace"), status)
    return _translated(translation.page_of_health(health, status), health, limits) if health else None
