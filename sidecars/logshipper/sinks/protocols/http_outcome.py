"""What an HTTP answer means to a sink: one table for all of them.

| status | means | then |
|---|---|---|
| 2xx | the receiver has the batch | yes (a sink may ask more of the body) |
| 413 | the batch is too large | it is halved |
| 400, 422 | something in the batch is at fault, or everything we send | it is halved, see `search` |
| 3xx, 401, 403, 404, 405 … | whoever runs this has to mend an address or a credential | it is tried again for ever |
| 429, 5xx and any other | not now | it is tried again for ever |

The same for one document of a bulk answer: `is_final` and `is_yes` are about that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.retry_after import retry_after
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.protocols.peer_text import error_message

_SUCCESS = range(200, 300)
_TOO_LARGE = 413
_BODY_AT_FAULT = frozenset({400, 422})
_LONGEST_PAUSE = 3600.0  # seconds; more than any Retry-After that is meant
_REMEDIES = {
    **dict.fromkeys(range(300, 400), "redirects are not followed: set the address that it names"),
    401: "are the credentials right?",
    403: "are the credentials allowed to write there?",
    404: "is the path right?",
    405: "is the path right? It takes no POST there",
    407: "no proxy is used: set the receiver's own address",
    410: "is the path right?",
    415: "it does not take this content type or COMPRESSION: is it a receiver of this kind?",
}


def raise_for_status(answer: ClientResponse, read_message: Callable[[bytes], str] = error_message) -> None:
    """Return for a yes. Raise TooLarge, Rejected or TryLater for all else, with what the receiver says.

    `words` reads the receiver's own words out of the body.
    """
    status = answer.status
    if status in _SUCCESS:
        if answer.early:
            raise RetryLater(f"the receiver answered {status} before it had the whole batch")
        return
    if status == _TOO_LARGE:
        raise BatchTooLarge
    told = f"the receiver answered {status}"
    if said := read_message(answer.body):
        told += f": {said}"
    if status in _BODY_AT_FAULT:
        raise BatchRefused(told)
    if status in _REMEDIES:
        told += f" ({_REMEDIES[status]})"
    raise RetryLater(told, requested_delay(answer))


def is_accepted(status: int) -> bool:
    """True if the receiver has the document with this status."""
    return status in _SUCCESS


def is_rejected(status: int) -> bool:
    """True if a document with this status will never be taken: a 4xx that neither people nor time mend."""
    return 400 <= status < 500 and status not in _REMEDIES and status not in (408, 425, 429)  # noqa: PLR2004 - classes


def requested_delay(answer: ClientResponse) -> float | None:
    """Return the seconds that the answer's Retry-After asks for, at most an hour, or None if it does not say."""
    return retry_after(answer.headers.get("retry-after", ""), time.time(), _LONGEST_PAUSE)
