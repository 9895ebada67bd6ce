"""The spans of one exchange, encoded: its own, of kind SERVER, and one of kind CLIENT for each attempt. No I/O."""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.proxy.exchange import GONE
from sidecars.ambassador.proxy.observed import spans
from sidecars.ambassador.proxy.observed.ended import Ended
from sidecars.ambassador.proxy.observed.observation import Attempt
from sidecars.ambassador.proxy.observed.spans import number_attribute, text_attribute
from sidecars.ambassador.proxy.observed.trace_context import TraceContext

_HTTP: Final = len("HTTP/")


def encode(ended: Ended, context: TraceContext, upstream: bytes, wall: int) -> tuple[bytes, int]:
    """Return the encoded spans and their number. `wall`: the time of the end, in nanoseconds since 1970."""
    exchange, seen = ended.exchange, ended.seen
    error = ended.error_type
    attempts = seen.attempts
    _end_attempts(ended)
    parts = _of_exchange(ended, upstream)
    if error:
        parts.append(text_attribute(spans.ERROR_TYPE, error.encode()))
    parts += [
        spans.event(_at(ended, wall, one.ended), "retry", one.reason.encode(), one.endpoint.label.encode())
        for one in attempts[:-1]
        if one.reason
    ]
    own = spans.Span(spans.SERVER, _name(exchange.request), context, seen.span_id, context.parent_id)
    found = [own.encode(_at(ended, wall, exchange.started), wall, parts, failed=ended.has_failed)]
    for number, attempt in enumerate(attempts):
        call_status = ended.call_status if attempt is seen.served_by and not attempt.reason else -1
        child = spans.Span(spans.CLIENT, _name(exchange.request), context, attempt.span_id, seen.span_id)
        found.append(
            child.encode(
                _at(ended, wall, attempt.started),
                _at(ended, wall, attempt.ended),
                _of_attempt(exchange.request, attempt, number, call_status),
                failed=bool(attempt.error) or attempt.status >= 400 or call_status > 0,
            )
        )
    return b"".join(found), len(found)


def _end_attempts(ended: Ended) -> None:
    """End the attempts that last: the one that served, and one that was dropped, such as the slower one of a hedge."""
    seen = ended.seen
    lasting = [one for one in seen.attempts if not one.ended]
    for one in lasting:
        one.ended = ended.now
        if one is seen.served_by or (seen.served_by is None and one is lasting[-1]):
            one.error = ended.error_type
            one.status = 0 if seen.error or ended.status == GONE else ended.status


def _at(ended: Ended, wall: int, monotonic: float) -> int:
    """Return a time of the monotonic clock in nanoseconds since 1970."""
    return wall - int((ended.now - monotonic) * 1e9)


def _name(request: Request) -> bytes:
    """Return the name of both kinds of spans, of which there are few: the method, of HTTP or of gRPC."""
    if request.is_grpc:
        return request.target.partition(b"?")[0][1:]
    return spans.span_name(request.method)


def _of_exchange(ended: Ended, upstream: bytes) -> list[bytes]:
    """Return the attributes of the exchange's own span, but for the error."""
    exchange, seen = ended.exchange, ended.seen
    request = exchange.request
    parts = _of_both(request, ended.call_status)
    parts.append(text_attribute(spans.UPSTREAM, upstream))
    parts.append(text_attribute(spans.SCHEME, b"http"))
    parts.append(spans.path_attribute(request.asked or request.target))
    parts.append(text_attribute(spans.VERSION, request.protocol[_HTTP:].encode()))
    if request.host:
        parts.append(spans.address_attributes(spans.SERVER_ADDRESS, spans.SERVER_PORT, request.host))
    if ended.status != GONE:
        parts.append(number_attribute(spans.STATUS, ended.status))
    texts = (
        (spans.CLIENT_ADDRESS, exchange.client.peer_host().encode()),
        (spans.USER_AGENT, request.value(b"user-agent")),
        (spans.REQUEST_ID, seen.request_id),
    )
    parts += [text_attribute(key, value) for key, value in texts if value]
    numbers = ((spans.REQUEST_SIZE, seen.request_bytes), (spans.RESPONSE_SIZE, seen.response_bytes))
    parts += [number_attribute(key, number) for key, number in numbers if number]
    return parts


def _of_attempt(request: Request, attempt: Attempt, number: int, call_status: int) -> list[bytes]:
    """Return the attributes of the span of the attempt with this number, from 0."""
    endpoint = attempt.endpoint
    parts = _of_both(request, call_status)
    parts.append(spans.url_attribute(b"https" if endpoint.tls else b"http", endpoint.host, request.target))
    parts.append(spans.address_attributes(spans.SERVER_ADDRESS, spans.SERVER_PORT, endpoint.host))
    parts.append(text_attribute(spans.PEER_ADDRESS, endpoint.ip.encode()))
    parts.append(number_attribute(spans.PEER_PORT, endpoint.port))
    if attempt.http2 or attempt.status:
        parts.append(text_attribute(spans.VERSION, b"2" if attempt.http2 else b"1.1"))
    if attempt.status:
        parts.append(number_attribute(spans.STATUS, attempt.status))
    if number:
        parts.append(number_attribute(spans.RESEND_COUNT, number))
    error = attempt.error or (str(attempt.status) if attempt.status >= 400 else "")
    if error:
        parts.append(text_attribute(spans.ERROR_TYPE, error.encode()))
    return parts


def _of_both(request: Request, call_status: int) -> list[bytes]:
    """Return the attributes that both kinds of spans have."""
    found = [spans.method_attributes(request.method)]
    if request.is_grpc:
        found.append(text_attribute(spans.RPC_SYSTEM, b"grpc"))
        found.append(text_attribute(spans.RPC_METHOD, _name(request)))
        if call_status >= 0:
            found.append(text_attribute(spans.RPC_STATUS, spans.CALL_STATUSES[call_status]))
    return found
