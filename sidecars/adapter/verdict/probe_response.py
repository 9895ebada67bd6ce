"""What a prober is answered, and the pattern's own case of it: `forward`. No I/O.

`forward` is the app's answer under another path, its bytes and status as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Outcome
from sidecars.chassis.runtime.printable import printable

SERVICE_UNAVAILABLE = 503
MOST_BYTES = 4000  # of a body of ours: the kubelet, Consul and others stop reading there or soon after
_FINAL = range(200, 600)  # RFC 9110, section 15: a status outside this is no final answer
_CLEAN = re.compile(r"[\t -~]*")  # a header value that every parser reads alike

# Headers that say what the bytes are or where to go on; nothing about the connection, and nothing about the app's
# clients (cookies), since one answer is shared by many probers.
HANDED_ON = ("Content-Type", "Content-Encoding", "Content-Language", "Cache-Control", "Location", "Retry-After")

OWN_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """An HTTP response to a prober.

    why    the sentence behind a failure; "" where the app itself has answered
    warns  True if it is a warning, whatever its status: Consul and Nagios have one for that
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    why: str = ""
    warns: bool = False

    @property
    def good(self) -> bool:
        """True if a prober takes it as a pass or a warning: kubelet's rule is 200 to 399."""
        return self.warns or 200 <= self.status < 400  # noqa: PLR2004 - the rule itself


def text_response(status: int, sentence: str, why: str = "", headers: Mapping[str, str] | None = None) -> ProbeResponse:
    """The adapter's own words, as plain text, and no more of them than probers read. No terminal obeys them."""
    body = printable(sentence, keep="\n").encode(errors="replace")[:MOST_BYTES].decode(errors="ignore")
    return ProbeResponse(status, {**OWN_HEADERS, **(headers or {})}, f"{body}\n".encode(), why)


def unavailable(app_request: AppRequest, phrase: str) -> ProbeResponse:
    sentence = f"{app_request.url} {phrase}"
    return text_response(SERVICE_UNAVAILABLE, sentence, sentence)


def forward(app_request: AppRequest, outcome: Outcome) -> ProbeResponse:
    """The app's answer as it is; 503 and the reason where there is none."""
    match outcome:
        case NoResponse(phrase=phrase):
            return unavailable(app_request, phrase)
        case AppResponse(status=status) if status not in _FINAL:
            return unavailable(app_request, f"answered with the status {status}, which is no final HTTP status")
        case AppResponse(status=status, headers=headers, body=body):
            handed_on = {
                name: value
                for name in HANDED_ON
                if (value := headers.get(name.lower())) is not None and _CLEAN.fullmatch(value)
            }
            return ProbeResponse(status, handed_on, body)
