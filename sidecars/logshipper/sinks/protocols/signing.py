"""The interface of what identifies us in each request: `identity.request_signing` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecars.logshipper.sinks.protocols.http_client import Headers


class Signer(Protocol):
    """Identifies the sender of the requests of one sink. Owned by the sink's `HttpPoster`."""

    async def fields(
        self, method: str, authority: str, target: str, headers: Headers, blocks: Sequence[bytes]
    ) -> Headers:
        """Return the header fields to add to a request. `authority`: the value of Host.

        Raises RetryLater with a sentence if there are no credentials now.
        """

    def responded(self, status: int) -> None:
        """Take the status of the response: it may say that the credentials have ended."""

    def close(self) -> None:
        """Stop what is under way."""
