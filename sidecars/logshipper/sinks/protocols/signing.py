"""The interface of our identity in each request: `identity.request_signing` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.sinks.protocols.http_client import Headers


class Signer(Protocol):
    """Identifies the sender of the requests of one sink. Owned by the sink's `HttpPoster`."""

    async def fields(
        self, method: str, authority: str, target: str, headers: Headers, blocks: Sequence[bytes]
    ) -> Headers:
        """Return the header fields to add to a request. `authority`: the value of Host.

        Raises RetryLater with a sentence if there are no credentials now.
        """

    def responded(self, response: ClientResponse, sent_at: float, /) -> None:
        """Take the response: it may say that the credentials have ended, or that the time of a signature is wrong.

        `sent_at`: seconds of the monotonic clock before `fields` was called for its request.
        """

    def close(self) -> None:
        """Stop the fetch that is under way."""
