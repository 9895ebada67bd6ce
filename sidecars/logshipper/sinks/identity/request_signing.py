"""Identity for a receiver over HTTP: the header fields of one request, by SINK_AUTH.

aws                  AwsSigner: a signature of the request and its body, by keys that are renewed
gcp, azure, oauth2   TokenSigner: an access token that is renewed
any other            none of these: `protocols.credentials` has what the settings hold
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sidecars.chassis.config.cloud_settings import region_of
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.identity import aws_signature, service_clock
from sidecars.chassis.identity.access_tokens import AccessToken
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.identity.clock_skew import REFUSALS, ClockSkew
from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.over_http.http_settings import aws_service
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.record_thread import beside_the_loop
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.identity import aws_credentials, token_services
from sidecars.logshipper.sinks.identity.token_cache import TokenCache
from sidecars.logshipper.sinks.protocols.http_client import Headers
from sidecars.logshipper.sinks.protocols.signing import Signer

log = logs.get("aws")

_REJECTED = (401, 403)
_BETWEEN_REJECTIONS = 60.0  # seconds
_SIGNED = ("content-type",)  # of the request's own fields: others may be changed on the way
_WITH_HASH = "aoss"  # OpenSearch Serverless wants the hash of the body as a field, too


def create(settings: Settings, sink: SinkSettings) -> Signer:
    """Return the signer of a sink whose SINK_AUTH has one. Raises IOFailed if TLS files are unusable."""
    if sink.sink_auth == "aws":
        return AwsSigner(settings, sink)
    return TokenSigner(TokenCache(token_services.create(settings, sink)))


class TokenSigner:
    """Adds an access token (RFC 6750)."""

    def __init__(self, tokens: TokenCache) -> None:
        self._tokens = tokens
        self._last: AccessToken | None = None

    async def fields(
        self, _method: str, _authority: str, _target: str, _headers: Headers, _blocks: Sequence[bytes]
    ) -> Headers:
        self._last = await self._tokens.current()
        return [("Authorization", f"Bearer {self._last.text}")]

    def responded(self, response: ClientResponse, _sent_at: float) -> None:
        if response.status in _REJECTED and self._last is not None:
            self._tokens.reject(self._last)

    def close(self) -> None:
        self._tokens.close()


class AwsSigner:
    """Adds a signature, version 4. `clock` gives seconds since 1970."""

    def __init__(self, settings: Settings, sink: SinkSettings, clock: Callable[[], float] = time.time) -> None:
        self._credentials = aws_credentials.create(settings, sink)
        self._scope = aws_signature.Scope(aws_service(sink), region_of(settings, sink.sink_region))
        self._clock = clock
        self._name = sink.name
        self._skew = ClockSkew()
        self._last: AwsKeys | None = None
        self._rejected_at = 0.0

    async def fields(
        self, method: str, authority: str, target: str, headers: Headers, blocks: Sequence[bytes]
    ) -> Headers:
        self._last = await self._credentials.current()
        digest = await beside_the_loop(sum(map(len, blocks)), aws_signature.body_hash, blocks)
        own = [("X-Amz-Content-Sha256", digest)] if self._scope.service == _WITH_HASH else []
        signed = [("Host", authority), *own, *(pair for pair in headers if pair[0].lower() in _SIGNED)]
        request = aws_signature.Request(method, target, signed, digest)
        return [*own, *aws_signature.signed_fields(self._last, self._scope, request, self._clock() + self._skew.ahead)]

    def responded(self, response: ClientResponse, sent_at: float) -> None:
        now, status = self._clock(), response.status
        if status not in REFUSALS:
            self._skew.accept(sent_at, time.monotonic())
            return
        before = self._skew.ahead
        is_other = self._skew.refuse(service_clock.of(response.headers, now), sent_at, time.monotonic())
        if self._skew.ahead not in (before, 0.0):
            log.warning(
                "the receiver's clock differs from this one, and is used for signatures",
                code="clock-differs",
                sink=self._name,
                seconds=round(self._skew.ahead),
            )
        if is_other:
            return
        if status in _REJECTED and self._last is not None and now > self._rejected_at + _BETWEEN_REJECTIONS:
            self._rejected_at = now
            self._credentials.reject(self._last)

    def close(self) -> None:
        pass
