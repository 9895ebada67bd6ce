"""A request to an app and its outcome: plain values, shared by the pure core and the I/O around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sidecars.chassis.config.urls import Url

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
"""The reason why a request has no usable response. These are the values of the metric's label `reason`.

refused      no process listens at the target
unreachable  no connection for another cause: no route, a reset, a broken network
unresolved   the target's host name has no address
tls          the app's certificate is not trusted, or the TLS handshake fails
credentials  a secret that the request needs cannot be read or sent
timeout      the response was not complete at the deadline
closed       the connection ended before the response was complete
malformed    the response is not HTTP, or its head is too large
too_large    the body is larger than ADAPTER_MAX_BODY
defect       a bug of the adapter
"""

ANYTHING = "*/*"


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A GET request to an app. Routes with equal requests share one response.

    timeout    seconds for the whole response, from the connection to the last byte
    max_body   bytes
    cache_ttl  seconds for which an outcome is used again
    """

    app: str
    url: Url
    timeout: float
    max_body: int
    accept: str = ANYTHING
    cache_ttl: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class AppResponse:
    """A complete HTTP response of the app, with any status.

    headers         by their names in lower case; of several with one name the first
    interpretation  the result of `interpretation.interpret_response`, if it was made while the request was in flight
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    interpretation: object = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class NoResponse:
    """A request without a usable response. `phrase` explains the reason; it follows the app's URL in a sentence."""

    reason: Reason
    phrase: str


Outcome = AppResponse | NoResponse
