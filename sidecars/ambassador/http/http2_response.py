"""Responses that came in HTTP/2: from the checked head of `http2.heads` to a `Response`. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http.messages import FieldEditor, Request, Response, status_field
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import ResponseHead

_VIA: Final = encode_field(b"via", b"2.0 ambassador")
_VIA_LINE: Final = b"Via: 2.0 ambassador\r\n\r\n"
_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
UNKNOWN: Final = -1  # a size: the body is not complete, or it ends with trailers


class Http2Response(Response):
    """The head of a response that came in HTTP/2."""

    def __init__(self, head: ResponseHead, request: Request, size: int = UNKNOWN) -> None:
        """`size`: bytes of the body if all of it is there and no trailers are, UNKNOWN if not."""
        status = head.status
        self.status = status
        self._head = head
        if request.is_head or status == 304 or status == 204 or status < 200:  # noqa: PLR1714 - compiled, it needs no set
            self.length = 0
            self.has_no_body = True
            self.content_length = UNKNOWN if status == 204 else head.content_length  # RFC 9110 section 8.6
        else:
            length = head.content_length if head.content_length >= 0 else size
            self.content_length = length
            self.length = length if length >= 0 else CHUNKED

    def end_call(self, trailers: Sequence[Field]) -> None:
        """Note the status of a call whose response is complete: in its trailers, or in its only head."""
        fields = trailers or self._head.fields
        self.call_status = grpc.status_in(fields, self.status)
        for field in fields:
            if field.name == b"grpc-retry-pushback-ms":
                self.pushback = grpc.pushback(field.value)

    def head(self, minor: int, *, close: bool) -> bytes:
        framing = b""
        if self.length == CHUNKED:
            framing = b"Transfer-Encoding: chunked\r\n" if minor else b""
        elif self.content_length >= 0:
            framing = b"Content-Length: %d\r\n" % self.content_length
        if close:
            framing += b"Connection: close\r\n"
        elif not minor:
            framing += b"Connection: keep-alive\r\n"
        return b"".join((self._status_line(), *self._head.lines(), framing, _VIA_LINE))

    def interim_head(self) -> bytes:
        return b"".join((self._status_line(), *self._head.lines(), b"\r\n"))

    def block(self) -> bytes:
        head = self._head
        if not head.block:
            length = b""
            if head.content_length >= 0 and head.status >= 200 and head.status != 204:
                length = encode_field(b"content-length", b"%d" % head.content_length)
            head.block = b"%b%b%b%b" % (status_field(head.status), head.encoded(), length, _VIA)
        return head.block

    def value(self, name: bytes) -> bytes:
        for field in self._head.fields:
            if field.name == name:
                return field.value
        return b""

    def edited(self, editor: FieldEditor) -> Response:
        """Return the response itself, with another head: only that is shared with other responses."""
        head = self._head
        fields: list[Field] = []
        is_other = False
        for field in head.fields:
            if field.name in editor.names:
                value = editor.edit(field.name, field.value)
                if value != field.value:
                    is_other = True
                    field = Field(field.name, value, never=field.never)  # noqa: PLW2901 - the rewritten one
            fields.append(field)
        if is_other:
            self._head = copy = ResponseHead()
            copy.status, copy.fields, copy.size = head.status, fields, head.size
            copy.content_length, copy.content_type = head.content_length, head.content_type
            copy.has_secret = head.has_secret
        return self

    def _status_line(self) -> bytes:
        return b"HTTP/1.1 %d %b\r\n" % (self.status, _PHRASES.get(self.status, b""))
