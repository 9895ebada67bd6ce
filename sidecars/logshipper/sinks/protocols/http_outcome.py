"""The meaning of an HTTP response to a sink: one table for all sinks.

| status | the receiver | `raise_for_status` | next |
|---|---|---|---|
| 2xx | has the batch | returns | settled, unless the body says otherwise (see the sink) |
| 413 | finds the batch too large | raises `BatchTooLarge` | its halves are sent |
| 400, 422 | dislikes some event, or everything we send | raises `BatchRefused` | its halves are sent |
| 3xx, 401, 403, 404, 405 … | needs another address or credential | raises `RetryLater` | retried until it is set |
| 500, 502, 504 | fails, perhaps on an event | raises `RetryLater` | retried; after `ISOLATE_AFTER` times, its halves |
| 429, other 5xx, any other | accepts nothing now | raises `RetryLater` | retried |

`is_accepted` and `is_rejected` are the same table for one document of a bulk response.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.peer_text import error_message
from sidecars.chassis.http.retry_after import retry_after
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, RetryLater

_SUCCESS = range(200, 300)
_BATCH_AT_FAULT = frozenset({400, 422})
_FAILURES = frozenset({500, 502, 504})  # a 503 and a Retry-After are about the receiver
_LONGEST_DELAY = 3600.0  # seconds; no sensible Retry-After is longer
_REMEDIES = {
    **dict.fromkeys(range(300, 400), "redirects are not followed: set the address that it names"),
    401: "are the credentials right?",
    403: "are the credentials allowed to write there?",
    404: "is the path right?",
    405: "is the path right? It takes no POST there",
    407: "the proxy wants a user name and a password: they belong in its URL, http://user:password@host:port",
    410: "is the path right?",
    415: "it does not take this content type or COMPRESSION: is it a receiver of this kind?",
}


def raise_for_status(response: ClientResponse, read_message: Callable[[bytes], str] = error_message) -> None:
    """Return if the receiver has the batch. Raises BatchTooLarge, BatchRefused or RetryLater otherwise.

    `read_message` reads the receiver's error message from the body; it becomes a part of the reason.
    """
    status = response.status
    if status in _SUCCESS:
        if response.early:
            raise RetryLater(f"the receiver responded with {status} before it had the whole batch")
        return
    if status == 413:
        raise BatchTooLarge
    reason = f"the receiver responded with {status}"
    if message := read_message(response.body):
        reason += f": {message}"
    if status in _BATCH_AT_FAULT:
        raise BatchRefused(reason)
    if status in _REMEDIES:
        reason += f" ({_REMEDIES[status]})"
    delay = requested_delay(response)
    raise RetryLater(reason, delay, may_be_about_an_event=status in _FAILURES and delay is None)


def is_accepted(status: int) -> bool:
    """True if the receiver has the document with this status."""
    return status in _SUCCESS


def is_rejected(status: int) -> bool:
    """True if the receiver will never take the document with this status: a 4xx that neither people nor time repair."""
    return 400 <= status < 500 and status not in _REMEDIES and status not in (408, 425, 429)


def requested_delay(response: ClientResponse) -> float | None:
    """Return the seconds of the response's Retry-After, at most an hour; None if it has none."""
    return retry_after(response.headers.get("retry-after", ""), time.time(), _LONGEST_DELAY)
