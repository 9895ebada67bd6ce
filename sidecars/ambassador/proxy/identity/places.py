"""Choose the source of the credentials of an upstream, by its settings: a source of `chassis.identity`, and its keeper.

The services are asked on connections of their own, directly, and never through the upstream.
"""

from __future__ import annotations

import random
import socket
import time
from functools import partial
from typing import Final

from sidecars.ambassador.config.auth_settings import AWS, GCP, OAUTH2
from sidecars.ambassador.config.identity import auth_checks
from sidecars.ambassador.proxy.identity.aws_identity import AwsIdentity
from sidecars.ambassador.proxy.identity.keeper import NEVER, Credentials, Keeper
from sidecars.ambassador.proxy.identity.token_identity import TokenIdentity
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import Identity
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import tls
from sidecars.chassis.identity import aws_sources, token_places
from sidecars.chassis.identity.access_tokens import AccessToken, TokenSource
from sidecars.chassis.identity.aws_signature import Scope
from sidecars.chassis.identity.aws_sources import Source, StaticSource
from sidecars.chassis.identity.local_keys import LocalSource
from sidecars.chassis.identity.service import directly
from sidecars.chassis.identity.token_places import OAuthClient
from sidecars.chassis.runtime import scrubber
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.chassis.runtime.lifecycle import IOFailed

monotonic: Final = time.monotonic
wall: Final = time.time

_READ_AGAIN: Final = 1.0  # seconds between two looks at keys of settings, whose files may be replaced
_TOKEN_SHARE: Final = 0.8  # of a token's life, after which a new one is fetched
_JITTER: Final = 0.1  # of that share, so that replicas do not ask together
_EARLIEST, _LATEST = 600.0, 300.0  # seconds before the end of AWS keys at which new ones are fetched


def create(settings: Settings, upstream: Upstream, latch: ReadinessLatch) -> Identity:
    """Return the identity of an upstream with AUTH. Raises IOFailed if TLS files are unusable."""
    own = upstream.settings
    if own.auth == AWS:
        source = _aws_source(settings, upstream)
        keeper = Keeper(upstream, latch, AwsFetch(source))
        return AwsIdentity(upstream.name, keeper, Scope(*auth_checks.aws_scope(settings, own)), own.auth_aws_payload)
    return TokenIdentity(Keeper(upstream, latch, TokenFetch(_token_source(settings, upstream))))


class AwsFetch:
    """Fetches AWS keys for a keeper."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def __call__(self) -> Credentials:
        keys = await self._source.fetch()
        now = monotonic()
        scrubber.hide(self, [text for text in (keys.secret_key, keys.session_token) if text])
        if keys.expires is None:
            is_read_again = isinstance(self._source, LocalSource)
            return Credentials(NEVER, now + _READ_AGAIN if is_read_again else NEVER, keys=keys)
        left = keys.expires - wall()
        return Credentials(now + left, now + renewal(left, random.random()), keys=keys)  # noqa: S311 - jitter


class TokenFetch:
    """Fetches tokens for a keeper."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def __call__(self) -> Credentials:
        found: AccessToken = await self._source.fetch(monotonic())
        scrubber.hide(self, [found.text])
        share = _TOKEN_SHARE - _JITTER * random.random()  # noqa: S311 - jitter
        renew_at = found.fetched + share * (found.ends - found.fetched)
        return Credentials(found.ends, renew_at, line=b"\r\nAuthorization: Bearer %b" % found.text.encode())


def renewal(left: float, chance: float) -> float:
    """Return the seconds after which AWS keys are renewed that are valid for `left` seconds. `chance`: in [0, 1)."""
    margin = _LATEST + (_EARLIEST - _LATEST) * chance
    return max(0.0, left - min(margin, left / 2))


def _aws_source(settings: Settings, upstream: Upstream) -> Source:
    own = upstream.settings
    static = None
    if own.auth_username is not None and own.auth_password is not None:
        name = variable(Settings, "auth_password", own.name)
        static = StaticSource(name, own.auth_username, own.auth_password, own.auth_session_token)
    needs_tls = settings.aws_role_arn is not None or settings.aws_container_credentials_full_uri is not None
    _, region = auth_checks.aws_scope(settings, own)
    username, password = [variable(Settings, name, own.name) for name in ("auth_username", "auth_password")]
    return aws_sources.choose(
        settings,
        static,
        settings.aws_region or settings.aws_default_region or region,
        tls.client_context() if needs_tls else None,
        directly,
        session=aws_sources.session_name(settings.aws_role_session_name, "ambassador", socket.gethostname()),
        elsewhere=f"{username} and {password}",
    )


def _token_source(settings: Settings, upstream: Upstream) -> TokenSource:
    own = upstream.settings
    scope, audience = own.auth_oauth_scope or "", own.auth_audience or ""
    if own.auth == GCP:
        return token_places.google(settings, scope, audience, tls.client_context, directly)
    if own.auth != OAUTH2:
        return token_places.azure(settings, scope, tls.client_context, directly)
    url, parameters = own.auth_oauth_token_url, {"scope": scope, "audience": audience}
    assert url is not None  # noqa: S101 - the settings were checked
    client = OAuthClient(
        token_url=url,
        client_id=own.auth_username or "",
        method=own.auth_oauth_client,
        secret=own.auth_password,
        key=own.auth_oauth_key,
        key_id=own.auth_oauth_key_id or "",
        key_audience=own.auth_oauth_key_audience or "",
        more={**(own.auth_oauth_params or {}), **{name: value for name, value in parameters.items() if value}},
        named=partial(_variable_of_client, own.name),
    )
    try:
        context = tls.client_context(tls.pem_file(own, "auth_oauth_ca", Settings, own.name))
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason, code="tls-files-unusable") from None
    return token_places.oauth2(client, lambda: context, directly)


def _variable_of_client(name: str, field: str) -> str:
    return variable(Settings, "auth_password" if field == "secret" else f"auth_oauth_{field}", name)
