"""An HTTP response to a prober, and the app's response forwarded as one. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Outcome
from sidecars.chassis.runtime.printable import printable

MAX_BODY = 4000  # bytes of a body that the adapter writes; the kubelet, Consul and others read hardly more
_FINAL = range(200, 600)  # RFC 9110, section 15: a status outside this range is no final response
_CLEAN = re.compile(r"[\t -~]*")  # a header value that every parser reads alike

# The headers that a forwarded response keeps: they describe the body, or say where or when to ask again. Not kept are
# headers of the connection, and headers for one client (cookies), since many probers share one response.
FORWARDED_HEADERS = ("Content-Type", "Content-Encoding", "Content-Language", "Cache-Control", "Location", "Retry-After")

TEXT_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """An HTTP response to a prober.

    reason   the sentence about a failure, without anything that the app has sent; "" for a forwarded response
    warning  True if it is a warning with any status: Consul and Nagios have statuses of their own for that
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""
    warning: bool = False

    @property
    def passing(self) -> bool:
        """True if a prober takes it as a pass or a warning. The kubelet passes 200 to 399."""
        return self.warning or 200 <= self.status < 400  # the kubelet's rule


def text_response(
    status: int, sentence: str, reason: str = "", headers: Mapping[str, str] | None = None
) -> ProbeResponse:
    """Return a response in plain text, at most `MAX_BODY` bytes, without control characters that a terminal obeys."""
    body = printable(sentence, keep="\n").encode(errors="replace")[:MAX_BODY].decode(errors="ignore")
    return ProbeResponse(status, {**TEXT_HEADERS, **(headers or {})}, f"{body}\n".encode(), reason)


def forwarded_response(app_request: AppRequest, outcome: Outcome) -> ProbeResponse:
    """Return the app's response with its status and its bytes; 503 and the reason if there is none."""
    match outcome:
        case NoResponse(phrase=phrase):
            return _unavailable(app_request, phrase)
        case AppResponse(status=status) if status not in _FINAL:
            return _unavailable(app_request, f"answered with the status {status}, which is no final HTTP status")
        case AppResponse(status=status, headers=headers, body=body):
            forwarded = {
                name: value
                for name in FORWARDED_HEADERS
                if (value := headers.get(name.lower())) is not None and _CLEAN.fullmatch(value)
            }
            return ProbeResponse(status, forwarded, body)


def _unavailable(app_request: AppRequest, phrase: str) -> ProbeResponse:
    sentence = f"{app_request.url} {phrase}"
    return text_response(503, sentence, sentence)
