"""A signature of each request to an upstream (AUTH=aws), made anew for each attempt and endpoint.

The hash of a body in its signature, by AUTH_AWS_PAYLOAD:

    the request has                    auto, signed                            unsigned
    no body                            the hash of none                        UNSIGNED-PAYLOAD
    a body that is there already       its hash                                UNSIGNED-PAYLOAD
    a body that streams, for S3        auto over TLS: UNSIGNED-PAYLOAD;        UNSIGNED-PAYLOAD
                                       else signed chunks (`chunk_signatures`)
    a body that streams, for others    it is held, then its hash; 413 if it    UNSIGNED-PAYLOAD
                                       is larger than RETRY_BUFFER

S3 wants to know the length of a body. So a body for S3 whose length was not announced is held, too. With a length
HTTP/1.1 has no trailers: a body that has some is refused for S3 (501), and sent in plain chunks to other services.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.identity import repeats
from sidecars.ambassador.proxy.identity.chunk_signatures import CHUNK, ChunkSigningSide, encoded_length
from sidecars.ambassador.proxy.identity.keeper import Keeper
from sidecars.ambassador.proxy.identity.kept_identity import KeptIdentity
from sidecars.ambassador.proxy.identity.request_signature import CHUNKS, EMPTY_BODY, UNSIGNED, Signer
from sidecars.ambassador.proxy.request_body import RequestBody
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, UpstreamSide
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.aws_signature import AwsKeys, Scope
from sidecars.chassis.identity.clock_skew import REFUSALS, ClockSkew
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

monotonic: Final = time.monotonic
wall: Final = time.time

_WARN_AGAIN: Final = 60.0  # seconds between two log lines about the clock
_HASH_IS_A_FIELD: Final = ("s3", "aoss", "vpc-lattice-svcs", "glacier")  # services that want X-Amz-Content-Sha256
_OWN_CHUNKS: Final = re.compile(rb"\r\ncontent-encoding: [^\r]*aws-chunked", re.IGNORECASE).search

TOO_LARGE: Final = Cause(
    "http_request_error",
    413,
    "the body must be held to be signed, and is larger than RETRY_BUFFER",
    own_fault=True,
)
SIGNED_ALREADY: Final = Cause(
    "http_request_error",
    501,
    "the app has signed the chunks of the body with its own keys: let it send unsigned requests",
    own_fault=True,
)
TRAILERS: Final = Cause(
    "http_request_error",
    501,
    "the body has trailers, and S3 wants the length of a body, with which it has none: let the app send none",
    own_fault=True,
)


class AwsIdentity(KeptIdentity):
    """The identity of one upstream, which owns it."""

    def __init__(self, upstream: str, keeper: Keeper, scope: Scope, payload: str) -> None:
        """`upstream`: its name, for the log. `payload`: AUTH_AWS_PAYLOAD."""
        super().__init__(keeper)
        self._upstream = upstream
        self._scope = scope
        self._streams: bool = scope.service.startswith("s3")
        self._has_hash_field: bool = scope.service.startswith(_HASH_IS_A_FIELD)
        self._is_unsigned = payload == "unsigned" or (payload == "auto" and scope.service == "vpc-lattice-svcs")
        self._is_signed = payload == "signed"
        self._keys: AwsKeys | None = None
        self._signer: Signer | None = None  # of these keys
        self._skew = ClockSkew()
        self._warned_at = -_WARN_AGAIN

    def admits(self, exchange: ConnectionWaiter) -> bool:
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        if exchange.over:
            return False
        body = exchange.body
        if body is not None and not self._may_send(exchange, body):
            return False
        return self.has_credentials(exchange)

    def _may_send(self, exchange: Exchange, body: RequestBody) -> bool:
        """Return True if enough of the body has come. Else the exchange waits for more, or has ended."""
        request = exchange.request
        if self._streams and _OWN_CHUNKS(request.lines()) is not None:
            exchange.give_up(SIGNED_ALREADY)
            return False
        exchange.holds = not body.is_complete and self._needs_whole(request)
        if not exchange.holds:
            if body.trailers and self._streams:
                exchange.give_up(TRAILERS)
                return False
            return True
        limit = exchange.upstream.settings.retry_buffer
        if body.size > limit or request.length > limit:
            exchange.holds = False
            exchange.give_up(TOO_LARGE)
        elif body.is_too_large:
            exchange.holds = False
            exchange.give_up(local_replies.NO_BUFFER)
        elif request.expects_continue:
            request.expects_continue = False
            exchange.client.tell_to_continue()
        return False

    def _needs_whole(self, request: Request) -> bool:
        if self._streams:
            return request.length == CHUNKED
        return not self._is_unsigned

    def carry(self, exchange: ConnectionWaiter, connection: UpstreamSide, authority: bytes) -> UpstreamSide:
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        request, body = exchange.request, exchange.body
        digest = self._digest(body, is_tls=connection.endpoint.tls)
        self._frame(exchange, digest)
        more: list[tuple[bytes, bytes]] = []
        if self._has_hash_field or digest is UNSIGNED or digest is CHUNKS:
            more.append((b"x-amz-content-sha256", digest))
        if digest is CHUNKS:
            more.append((b"x-amz-decoded-content-length", b"%d" % request.plain_length))
        self.line, seed = self._current().sign(
            request, request.host_sent(authority), digest, more, wall() + self._skew.ahead
        )
        if digest is not CHUNKS:
            return connection
        self.line = b"\r\nContent-Encoding: aws-chunked%b" % self.line
        framed = ChunkSigningSide(connection, seed)
        exchange.connection = framed  # never that of a hedge, whose body is complete
        return framed

    def _digest(self, body: RequestBody | None, *, is_tls: bool) -> bytes:
        """Return the hash of the body, or the word that stands for it."""
        if self._is_unsigned:
            return UNSIGNED
        if body is None:
            return EMPTY_BODY
        held = body.held
        if body.is_complete and held is not None:
            found = hashlib.sha256()
            for piece in held:
                found.update(piece)
            return found.hexdigest().encode()
        return UNSIGNED if is_tls and not self._is_signed else CHUNKS

    def _frame(self, exchange: Exchange, digest: bytes) -> None:
        """Announce the length of the body as it is sent, which depends on the attempt."""
        request, body = exchange.request, exchange.body
        if body is None:
            return
        if digest is CHUNKS:
            if not request.plain_length:
                request.plain_length = request.length
                exchange.hold_head(CHUNK)
            request.announce(encoded_length(request.plain_length))
        elif body.is_complete and body.held is not None and not body.trailers:
            request.announce(body.size)

    def _current(self) -> Signer:
        current = self.keeper.current
        keys = current.keys if current is not None else None
        signer = self._signer
        if signer is None or keys is not self._keys:
            assert keys is not None  # noqa: S101 - `admits` has looked
            self._keys = keys
            signer = self._signer = Signer(keys, self._scope)
        return signer

    def renews(self, exchange: ConnectionWaiter, response: Response) -> bool:
        """Fetch new keys if these are refused: they may have been revoked. A 403 says mostly that a right is missing.

        So no request is sent again, but if it was the time of the signature that was refused.
        """
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        status, now, sent_at = response.status, monotonic(), exchange.attempt_started
        if status not in REFUSALS:
            self._skew.accept(sent_at, now)
            return False
        if self._takes_clock(response, sent_at, now):
            if not repeats.may_repeat(exchange):
                return False
            repeats.leave(exchange, status)
            exchange.upstream.loop.call_soon(exchange.begin_attempt)
            return True
        if status != 400:
            self.keeper.reject(sent_at, now)
        return False

    def _takes_clock(self, response: Response, sent_at: float, now: float) -> bool:
        """Return True if a request that was refused would be dated by another clock now."""
        before = self._skew.ahead
        date = b"" if response.value(b"age") else response.value(b"date")
        ahead = service_clock.seconds_ahead(date.decode("latin-1"), wall())
        is_other = self._skew.refuse(ahead, sent_at, now)
        if self._skew.ahead != before and ahead and now >= self._warned_at + _WARN_AGAIN:
            self._warned_at = now
            log.warning(
                "the clock of an upstream differs from this one, and is used for signatures",
                code="clock-differs",
                upstream=self._upstream,
                seconds=round(ahead),
            )
        return is_other
