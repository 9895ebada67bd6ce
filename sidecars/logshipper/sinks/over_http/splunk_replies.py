"""Reads the replies of Splunk's HTTP Event Collector: was a request taken, which event was at fault, what is indexed?

https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector

| status, code | meaning | `read_reply` |
|---|---|---|
| 200, code 0 (26, 27: queues nearly full) | taken, and not indexed yet | returns `Taken`, perhaps with a number |
| 400, code 6, 12, 13, 15 with `invalid-event-number` | one event is at fault | returns `InvalidEvent` |
| 400, code 5, 6, 12, 13, 15 without it | some event is at fault | raises `BatchRefused` |
| 400, code 7, 10, 11, 14, 16, 21, 22 | index, channel or token: for people to repair | raises `RetryLater` |
| 413 | too large | raises `BatchTooLarge` |
| 401, 403, 404 | token, address | raises `RetryLater` |
| 429, 503 (9, 18, 19, 20, 23, 24, 25), 500 (8) | busy | raises `RetryLater` |

A 200 that is no reply of a collector is no acceptance: a portal or a proxy may send one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.peer_text import error_message, sanitized
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status

_TAKEN = frozenset({0, 26, 27})
_EVENT_AT_FAULT = frozenset({5, 6, 12, 13, 15})
WRONG_INDEX, ACK_DISABLED = 7, 14
_REMEDIES = {
    WRONG_INDEX: "does the index exist, and may the token write to it?",
    10: "the token has indexer acknowledgement: set {ack}=auto",
    11: "the channel is not accepted",
    ACK_DISABLED: "the token has no indexer acknowledgement: enable it there, or set {ack}=auto",
    16: "it takes no token in the address",
    21: "is the token right?",
    22: "enable the token there",
}
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Taken:
    """The collector has the request. `ack_id` is the number of its acknowledgement; None without acknowledgement."""

    ack_id: int | None


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """The collector refused the request because of the event with this number, from 0."""

    number: int
    reason: str


def read_reply(
    response: ClientResponse, events: int, ack_setting: str, *, index_is_of_event: bool = False
) -> Taken | InvalidEvent:
    """Return the collector's decision on a request of `events` events. Raises RetryLater, BatchRefused, BatchTooLarge.

    `ack_setting`: the variable of SINK_ACK, for sentences. `index_is_of_event`: True if each event has its own index,
    so that a wrong one is the event's fault.
    """
    reply = _document(response.body)
    code = reply.get("code")
    if response.status == 400 and not response.early and type(code) is int:
        reason = f"the receiver responded with 400: {_text(reply)} (code {code})"
        if code in _EVENT_AT_FAULT or (code == WRONG_INDEX and index_is_of_event):
            number = reply.get("invalid-event-number")
            if type(number) is int and 0 <= number < events:
                return InvalidEvent(number, reason)
            raise BatchRefused(reason)
        remedy = _REMEDIES.get(code)
        if remedy:
            raise RetryLater(f"{reason}; {remedy.format(ack=ack_setting)}")
    raise_for_status(response, _message)
    if response.status != 200 or type(code) is not int or code not in _TAKEN:
        raise RetryLater(f"the receiver responded with {response.status}, but not as Splunk's event collector does")
    if "ackId" not in reply:
        return Taken(None)
    ack_id = reply["ackId"]
    if type(ack_id) is not int or not 0 <= ack_id < _LARGEST:
        raise RetryLater("the receiver's number of an acknowledgement is not a number")
    return Taken(ack_id)


def read_acknowledgements(response: ClientResponse, asked: Collection[int], ack_setting: str) -> set[int]:
    """Return the numbers among `asked` that are indexed. A number that the reply does not name is not.

    A busy collector has acknowledged nothing yet. Raises RetryLater if the reply is a failure that will last.
    """
    if response.status == 429 or response.status >= 500:
        return set()
    reply = _document(response.body)
    if response.status == 400 and reply.get("code") in _REMEDIES:
        remedy = _REMEDIES[reply["code"]].format(ack=ack_setting)
        raise RetryLater(f"the receiver responded with 400 to a question for acknowledgements; {remedy}")
    if response.status != 200:
        text = _message(response.body)
        reason = f"the receiver responded with {response.status} to a question for acknowledgements"
        raise RetryLater(f"{reason}: {text}" if text else reason)
    acks = reply.get("acks")
    if not isinstance(acks, dict):
        raise RetryLater("the receiver's reply to a question for acknowledgements is not that of Splunk's collector")
    return {number for number in asked if acks.get(str(number)) is True}


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(body: bytes) -> str:
    """Return the text of a reply, or the error message of any other body."""
    text = _document(body).get("text")
    return sanitized(text) if isinstance(text, str) else error_message(body)


def _text(reply: dict[str, Any]) -> str:
    text = reply.get("text")
    return sanitized(text) if isinstance(text, str) and text else "no text"
