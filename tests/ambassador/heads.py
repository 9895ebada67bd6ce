"""Helpers for the tests of heads: parse a request or a response, and write the head that is sent on."""

from __future__ import annotations

from sidecars.ambassador.http.bodies import body_reader
from sidecars.ambassador.http.head_rules import MessageRejected, check_beginning
from sidecars.ambassador.http.request_head import Http1Request, RequestParser
from sidecars.ambassador.http.response_head import Http1Response, parse_response

AUTHORITIES = {b"127.0.0.1:8500", b"orders"}


def request(head: bytes) -> Http1Request:
    return parse(RequestParser(AUTHORITIES), head.removesuffix(b"\r\n\r\n"))


def parse(parser: RequestParser, head: bytes) -> Http1Request:
    return parser.parse(head + b"\r\n\r\nwhat follows", len(head))


def response(head: bytes, method: bytes = b"GET") -> Http1Response:
    return parse_response(head.removesuffix(b"\r\n\r\n"), request(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n"))


def sent(head: bytes) -> bytes:
    return request(head).head(b"orders")


def refusal_of(message: bytes) -> int | None:
    """Return the status with which a request, delivered whole, is rejected; None if it is accepted."""
    try:
        end = message.find(b"\r\n\r\n")
        if end < 0:
            check_beginning(message, 400)
            return None
        parsed = request(message[:end])
        if parsed.length:
            body_reader(parsed.length, 400).feed(message[end + 4 :])
    except MessageRejected as error:
        return error.status
    return None
