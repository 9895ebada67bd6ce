"""The line of the access log with the fields of ACCESS_LOG_FIELDS, in their order.

A field of a request or of a response is cut to 256 characters. Which names are allowed is decided with the settings
(`config.seeing_settings`): none that may carry a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sidecars.ambassador.proxy.observed.ended import Ended
from sidecars.ambassador.upstream.access_log import is_error, known_values
from sidecars.chassis.runtime import logs

log: Final = logs.get("ambassador.access")

_LONGEST: Final = 256  # characters of a value that a peer has sent
REQUEST: Final = "request."
RESPONSE: Final = "response."


class AccessFields:
    """The lines of one upstream: of all requests, or only of those that ended with an error."""

    def __init__(self, upstream: str, names: Sequence[str], *, all_requests: bool) -> None:
        self._upstream = upstream
        self._names = tuple(names)
        self._all = all_requests

    def log(self, ended: Ended) -> None:
        """Log a request that has ended."""
        exchange, status, response = ended.exchange, ended.status, ended.seen.response
        if not self._all and not is_error(status, whole=ended.whole) and ended.call_status <= 0:
            return
        known = known_values(self._upstream, exchange, status, ended.now, whole=ended.whole)
        fields: dict[str, object] = {}
        for name in self._names:
            if name in known:
                fields[name] = known[name]
            elif name.startswith(REQUEST):
                fields[name] = _text(exchange.request.value(name[len(REQUEST) :].encode()))
            elif name.startswith(RESPONSE):
                fields[name] = _text(response.value(name[len(RESPONSE) :].encode())) if response is not None else ""
            elif name in FURTHER:
                fields[name] = FURTHER[name](ended)
            # else it is one that this request does not have: `hedge`
        log.info("request", **fields)


def _text(value: bytes) -> str:
    return value[:_LONGEST].decode("utf-8", "replace")


def _upstream_protocol(ended: Ended) -> object:
    attempts = ended.seen.attempts
    return "" if not attempts else "HTTP/2" if attempts[-1].http2 else "HTTP/1.1"


def _trace_id(ended: Ended) -> object:
    context = ended.seen.context
    return context.trace_id.decode() if context is not None else ""


FURTHER: Final[dict[str, Callable[[Ended], object]]] = {
    "client": lambda it: it.exchange.client.peer_host(),
    "error": lambda it: it.error_type,
    "grpc_status": lambda it: it.call_status if it.call_status >= 0 else None,
    "host": lambda it: _text(it.exchange.request.host or b""),
    "request_bytes": lambda it: it.seen.request_bytes,
    "request_id": lambda it: _text(it.seen.request_id),
    "response_bytes": lambda it: it.seen.response_bytes,
    "retries": lambda it: it.exchange.retries,
    "sampled": lambda it: it.seen.is_sampled,
    "span_id": lambda it: it.seen.span_id.decode(),
    "trace_id": _trace_id,
    "upstream_protocol": _upstream_protocol,
    "user_agent": lambda it: _text(it.exchange.request.value(b"user-agent")),
}
