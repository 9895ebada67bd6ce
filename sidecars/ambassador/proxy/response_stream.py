"""A response whose body streams through: its head, the pieces of its body, and its end, as the app gets them."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.ambassador.http.bodies import LAST_CHUNK, encode_chunk, encode_last_chunk
from sidecars.ambassador.http.head_rules import CHUNKED, UNTIL_CLOSE
from sidecars.ambassador.http.request_head import Request
from sidecars.ambassador.http.response_head import Response
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.response_writer import ResponseWriter


class ResponseStream:
    """The response under way to the app. Its exchange owns it, from the response's head to its end."""

    __slots__ = ("_client", "_must_close", "_sends_chunks", "is_framed", "state", "status")

    def __init__(self, client: ResponseWriter, request: Request, response: Response, *, close: bool) -> None:
        """Write the head. `close` is True if the client's connection ends with this response."""
        self._client = client
        self.status = response.status
        has_length = response.content_length >= 0
        self.state = timeouts.RECEIVING if has_length else timeouts.STREAMING
        no_length_yet = response.length in (CHUNKED, UNTIL_CLOSE)
        self._sends_chunks = bool(request.minor) and no_length_yet
        self.is_framed = self._sends_chunks or has_length  # True if the app can tell a whole response from a part
        self._must_close = close or (no_length_yet and not self._sends_chunks)
        client.write(response.head(request.minor, close=self._must_close))

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        """Write pieces of the body."""
        if self._sends_chunks:
            pieces = encode_chunk(pieces)
        if len(pieces) == 1:
            self._client.write(pieces[0])
        elif pieces:
            self._client.writelines(pieces)

    def end(self, trailers: Sequence[bytes], *, close: bool) -> bool:
        """Write the end of the body; return True if the connection ends with it, because of `close` or of the head."""
        if self._sends_chunks:
            self._client.write(encode_last_chunk(trailers) if trailers else LAST_CHUNK)
        return close or self._must_close
