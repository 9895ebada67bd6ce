"""CONNECT to an HTTP proxy and its response, from bytes of a proxy that may be hostile. No I/O (RFC 9110, 9.3.6).

head of the response   16 KiB        NotConnected
interim responses      16            NotConnected
2xx                    the connection leads to the host: what follows are the host's bytes
401, 407               NotConnected: the proxy wants other credentials (tinyproxy says 401 for a wrong password)
any other status       NotConnected
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import h11

_HEAD = 16 * 1024  # bytes of a response to CONNECT, at most
_INTERIM = 16  # responses 1xx, at most
_SUCCESS = range(200, 300)
_CREDENTIALS_WANTED = (407, 401)
_HEAD_TOO_LARGE = 431  # the hint of h11

CREDENTIALS: Final = "credentials"
REFUSED: Final = "refused"
MALFORMED: Final = "malformed"
TOO_LARGE: Final = "too large"
CLOSED: Final = "closed"


class NotConnected(Exception):
    """The proxy leads nowhere. The text is a clause about the proxy, and repeats no byte of it.

    kind     one of `CREDENTIALS`, `REFUSED`, `MALFORMED`, `TOO_LARGE`, `CLOSED`
    status   that of the response; 0 if there is none
    """

    def __init__(self, kind: str, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status


class ConnectExchange:
    """One CONNECT on one connection. `request` are the bytes to send."""

    def __init__(self, target: str, fields: Sequence[tuple[str, str]]) -> None:
        """`target` is `host:port`; `fields` stand behind Host. Raises ValueError if a field cannot be sent."""
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._interim = 0
        try:
            request = h11.Request(method="CONNECT", target=target, headers=[("Host", target), *fields])
        except h11.LocalProtocolError as error:
            raise ValueError(str(error)) from None
        self.request = (self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes of the proxy, b"" for its end. Return those behind its 2xx; None if more are needed.

        Raises NotConnected. It is not called again after that, and after it has returned bytes.
        """
        if not data:
            raise NotConnected(CLOSED, "closed the connection without a response")
        try:
            self._h11.receive_data(data)
            while (event := self._h11.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.InformationalResponse) and self._interim < _INTERIM:
                    self._interim += 1
                else:
                    return self._decide(event)
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _HEAD_TOO_LARGE:
                raise NotConnected(TOO_LARGE, f"responds with a head of more than {_HEAD} bytes") from None
            raise NotConnected(MALFORMED, "does not respond in HTTP/1.1") from None
        return None

    def _decide(self, event: object) -> bytes:
        if not isinstance(event, h11.Response):
            raise NotConnected(MALFORMED, "does not respond in HTTP/1.1")
        status = event.status_code
        if status in _CREDENTIALS_WANTED:
            raise NotConnected(CREDENTIALS, f"wants another user name and password ({status})", status)
        if status not in _SUCCESS:
            raise NotConnected(REFUSED, f"responded with {status}", status)
        return self._h11.trailing_data[0]
