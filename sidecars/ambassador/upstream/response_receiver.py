"""The exchange that waits for a response, as the connection to its endpoint sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.request_head import Request
from sidecars.ambassador.http.response_head import Response


class ResponseReceiver(ABC):
    """The exchange that waits for a response, as far as the connection uses it."""

    request: Request

    @abstractmethod
    def accept(self, response: Response, now: float) -> bool:
        """Report a final response's status to the balancer; return False if another attempt is made instead of it."""

    @abstractmethod
    def respond_whole(self, response: Response, body: bytes, now: float) -> None:
        """Pass on a response that came in one piece. Its connection is released already."""

    @abstractmethod
    def respond(self, response: Response) -> None:
        """Pass on the head of a response whose body follows through `pass_on` and `end`."""

    @abstractmethod
    def pass_on(self, pieces: Sequence[bytes]) -> None:
        """Pass on pieces of the response's body."""

    @abstractmethod
    def end(self, trailers: Sequence[bytes], now: float) -> None:
        """End the response. Its connection is released already."""

    @abstractmethod
    def interim(self, response: Response) -> None:
        """Pass on a 1xx response."""

    @abstractmethod
    def switch(self, response: Response, surplus: bytes) -> None:
        """Take a 101 response, and the bytes behind it: the connection becomes one end of a tunnel."""

    @abstractmethod
    def release(self) -> bool:
        """Let go of the connection, whose response is complete; return True if the request leaves nothing on it."""

    @abstractmethod
    def lose(self, cause: Cause) -> None:
        """Let go of the connection, which failed."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End the exchange after an unexpected exception."""

    @abstractmethod
    def block(self) -> None:
        """Send no more of the request for the time being: the endpoint does not take it."""

    @abstractmethod
    def unblock(self) -> None:
        """Send on: the endpoint takes more of the request."""
