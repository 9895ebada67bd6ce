"""Requests and responses as the rest of the ambassador knows them, in any protocol. No I/O.

A message has one class for each protocol in which it may come. Each can be written in both protocols, and all that the
strictest of them forbids was refused when it was parsed.

    came in    request                        response
    HTTP/1.1   request_head.Http1Request      response_head.Http1Response
    HTTP/2     http2_request.Http2Request     http2_response.Http2Response

Trailers are lists of `http2.fields.Field` in both protocols.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sidecars.ambassador.http.head_rules import UNTIL_CLOSE
from sidecars.ambassador.http2.encoder import encode_field


class Request(ABC):
    """A parsed request. Its exchange owns it.

    The attributes that few requests have stand on the class, so that the others pay nothing for them.
    """

    method: bytes
    target: bytes  # a path with its query, or `*`, as it is sent on
    host: bytes | None  # the app's Host or `:authority`, or the authority of its target; None if it named none
    minor: int  # of the version of a client of HTTP/1: HTTP/1.`minor`; 1 for HTTP/2
    idempotent: bool  # True if it may be repeated after it may have taken effect

    protocol = "HTTP/1.1"  # of the client, for people; HTTP/1.0 counts as this
    is_grpc = False  # True for a call of gRPC, by its Content-Type
    grpc_timeout = b""  # the value of that field
    attempt_fields = b""  # fields of the next attempt alone, in HPACK, instead of the `grpc-timeout` that came
    is_head = False
    keep_alive = True
    plain_length = 0  # bytes of the body, if it is announced and sent in signed chunks
    length = 0  # bytes of the body, or CHUNKED if there is one whose length was not announced
    body_is_unusual = False  # True if the method gives a body no meaning: the upstream may close the connection
    expects_continue = False
    upgrade: tuple[bytes, ...] = ()  # the protocols of Upgrade that may be asked for
    asked = b""  # the target as the app sees it, if another one is sent on

    @abstractmethod
    def head(self, authority: bytes, credentials: bytes = b"") -> bytes:
        """Return the head in HTTP/1.1 to send to the upstream.

        - `authority`: the value of Host.
        - `credentials`: a further field line (`Name: value`) behind a CR LF.
        """

    @abstractmethod
    def block(self, scheme: bytes, authority: bytes, credentials: bytes = b"") -> bytes:
        """Return the head as a block of HPACK to send to the upstream. The other arguments are as in `head`."""

    @abstractmethod
    def announce(self, length: int) -> None:
        """Announce a body of this length in bytes to the upstream, instead of the length that the app has announced.

        If `expects_continue` is False, nothing is said of an `Expect` that the app has sent, either.
        """

    def host_sent(self, authority: bytes) -> bytes:
        """Return the value of Host, or of `:authority`, that is written for this authority."""
        return authority

    @abstractmethod
    def lines(self) -> bytes:
        """Return the field lines that are sent on, each with a CR LF before and behind it, for a look into them."""

    @abstractmethod
    def value(self, name: bytes) -> bytes:
        """Return the value of the first field with this name, in lower case; b"" if there is none."""

    def taken(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the fields that are kept aside instead of sent on: names in lower case, and values."""
        return ()


class FieldEditor(ABC):
    """Rewrites the values of some fields of a response, whose `names` are in lower case."""

    __slots__ = ("names",)

    def __init__(self, names: frozenset[bytes]) -> None:
        self.names = names

    @abstractmethod
    def edit(self, name: bytes, value: bytes) -> bytes:
        """Return the value to pass on: a field's value without CR, LF and blanks around it."""


class Response(ABC):
    """The parsed head of a response.

    It is never changed once it is parsed: responses with equal heads may share one object.
    """

    status: int
    length = UNTIL_CLOSE  # bytes of the body that follows, or CHUNKED, or UNTIL_CLOSE
    content_length = -1  # the value of Content-Length, -1 without one
    has_no_body = False
    upgrade = b""  # the protocol of a 101
    call_status = -1  # the `grpc-status` of a call whose response came with its end; -1: it follows
    pushback = -1.0  # seconds after which that call may be tried again; below 0: it names none

    @abstractmethod
    def head(self, minor: int, *, close: bool) -> bytes:
        """Return the head to send to a client of HTTP/1.`minor`, with the framing of the body."""

    @abstractmethod
    def interim_head(self) -> bytes:
        """Return the bytes of a 1xx response in HTTP/1.1; those of 101 name the agreed protocol."""

    @abstractmethod
    def block(self) -> bytes:
        """Return the head, or that of an interim response, as a block of HPACK to send to the app."""

    @abstractmethod
    def value(self, name: bytes) -> bytes:
        """Return the value of the first field with this name, in lower case; b"" if there is none."""

    @abstractmethod
    def edited(self, editor: FieldEditor) -> Response:
        """Return the response with the fields that the editor rewrites; itself if it changes nothing."""


_status_fields: dict[int, bytes] = {}


def status_field(status: int) -> bytes:
    """Return `:status` in HPACK."""
    found = _status_fields.get(status)
    if found is None:
        found = _status_fields[status] = encode_field(b":status", b"%d" % status)
    return found
