"""What is asked of an app, and what comes of it: plain values, shared by the pure core and the I/O around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "refused",
    "unreachable",
    "unresolved",
    "tls",
    "credentials",
    "timeout",
    "closed",
    "malformed",
    "too_large",
    "defect",
]
"""Why an app gave no usable answer. The words are the values of the metric's label.

refused      nobody listens at the target
unreachable  no connection for another cause: no route, a reset, a broken network
unresolved   the target's host name has no address
tls          the app's certificate is not trusted, or it speaks no TLS as it should
credentials  what is to be shown to the app cannot be read any more
timeout      not the whole answer in time
closed       the connection ended before the whole answer
malformed    the answer is not HTTP, or its head is too large
too_large    the body is larger than is taken
defect       the adapter's own mistake
"""

ANYTHING = "*/*"


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A GET that an app is asked. Routes with an equal question share its answer."""

    app: str
    url: str
    timeout: float
    max_body: int
    accept: str = ANYTHING
    cache_ttl: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class AppResponse:
    """A whole HTTP answer of the app, whatever its status. Header names are in lower case; the first of each counts.

    `understood` is what `reading.understand` has made of it, where that was done while the request was under way.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    interpretation: object = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class NoResponse:
    """No usable answer: the reason as a word, and as a phrase that follows the app's URL in a sentence."""

    reason: Reason
    phrase: str


Outcome = AppResponse | NoResponse
