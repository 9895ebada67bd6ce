"""Tokens for OAUTHBEARER: from a setting or its file, from a token endpoint, or made of AWS credentials.

| source | when it is new |
|---|---|
| `SINK_TOKEN`, or its file | read again for each connection: the kubelet rotates it |
| `SINK_OAUTH_TOKEN_URL` | asked again before the token ends (RFC 6749 section 4.4) |
| `SINK_SASL=aws-msk-iam` | signed again for each connection: it is valid for 15 minutes |
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Protocol

from sidecars.chassis.config.cloud_settings import region_of
from sidecars.chassis.config.settings import variable
from sidecars.chassis.identity import aws_signature
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity import aws_credentials
from sidecars.logshipper.sinks.identity.aws_credentials import AwsCredentials
from sidecars.logshipper.sinks.identity.token_cache import TokenCache
from sidecars.logshipper.sinks.identity.token_services import client_credentials
from sidecars.logshipper.sinks.protocols.credentials import read_secret

_VALID = 900  # seconds of a token for MSK: the most that the brokers accept
_AGENT = "logshipper"


class TokenSource(Protocol):
    """Gives the token for a connection to a broker."""

    async def token(self, host: str) -> str:
        """Return a token that is valid now. Raises RetryLater with a sentence if there is none."""

    async def close(self) -> None:
        """Stop the fetch that is under way."""


def create(settings: Settings, sink: SinkSettings) -> TokenSource:
    """Return the source of a sink's tokens. Raises IOFailed if TLS files are unusable."""
    if sink.sink_sasl == "aws-msk-iam":
        return MskToken(aws_credentials.create(settings, sink), region_of(settings, sink.sink_region))
    if sink.sink_oauth_token_url is not None:
        return EndpointToken(TokenCache(client_credentials(settings, sink)))
    return SettingToken(sink)


class SettingToken:
    """The token of `SINK_TOKEN`."""

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings

    async def token(self, _host: str) -> str:
        if self._settings.sink_token is None:
            raise AssertionError("the settings were checked")
        token = read_secret(self._settings.sink_token, self._settings, "sink_token").strip()
        if not token or not token.isascii() or not token.isprintable():
            name = variable(Settings, "sink_token", self._settings.name)
            raise RetryLater(f"{name} is no token: it is empty, or has characters that no token has")
        return token

    async def close(self) -> None:
        pass


class EndpointToken:
    """The tokens of a token endpoint, for a client id and its secret."""

    def __init__(self, cache: TokenCache) -> None:
        self._cache = cache

    async def token(self, _host: str) -> str:
        return (await self._cache.current()).text

    async def close(self) -> None:
        self._cache.close()


class MskToken:
    """Tokens for Amazon MSK, each a presigned request that the brokers send to AWS. `clock`: seconds since 1970."""

    def __init__(self, credentials: AwsCredentials, region: str, clock: Callable[[], float] = time.time) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock

    async def token(self, _host: str) -> str:
        return msk_token(await self._credentials.current(), self._region, self._clock())

    async def close(self) -> None:
        await self._credentials.close()


def msk_token(keys: AwsKeys, region: str, now: float) -> str:
    """Return the token of IAM access control of MSK: a presigned `kafka-cluster:Connect`, in base64url without padding.

    https://github.com/aws/aws-msk-iam-sasl-signer-python has the same; AWS documents no more than that.
    """
    host = f"kafka.{region}.amazonaws.com"
    request = aws_signature.Request("GET", "/?Action=kafka-cluster%3AConnect", [("host", host)])
    scope = aws_signature.Scope("kafka-cluster", region)
    target = aws_signature.presigned_target(keys, scope, request, _VALID, now)
    url = f"https://{host}{target}&User-Agent={_AGENT}"
    return urlsafe_b64encode(url.encode()).decode().rstrip("=")
