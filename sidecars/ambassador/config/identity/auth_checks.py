"""Checks of the settings of identity, for each upstream that has one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.ambassador.config.auth_settings import AWS, AZURE, GCP, NO_AUTH, OAUTH2, CloudSettings
from sidecars.ambassador.config.identity import aws_hosts
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.chassis.config import cloud_settings
from sidecars.chassis.config.urls import Url, is_loopback

Of = Callable[[str], str]

_NEEDED = {OAUTH2: ("auth_oauth_token_url", "auth_username"), AZURE: ("auth_oauth_scope",)}
_OURS = (
    *("grant_type", "scope", "audience", "client_id", "client_secret"),
    *("client_assertion", "client_assertion_type"),
)


def wrong(settings: CloudSettings, upstream: UpstreamSettings, of: Of) -> Iterator[str]:
    """Yield a sentence for each contradiction, and for all that is missing."""
    auth = f"{of('auth')}={upstream.auth}"
    if upstream.auth != NO_AUTH:
        yield from _beside_others(upstream, of, auth)
        checks = {AWS: _aws, GCP: _gcp, AZURE: _azure, OAUTH2: _oauth2}
        yield from checks[upstream.auth](settings, upstream, of, auth)


def _beside_others(upstream: UpstreamSettings, of: Of, auth: str) -> Iterator[str]:
    """Yield the contradictions to it in the other settings of the upstream."""
    if upstream.token is not None:
        yield f"{auth} and {of('token')} are set, and a request has one Authorization: keep one"
    replaced = [name.decode() for name in upstream.replaced_fields]
    for edit in upstream.headers or ():
        if edit.sign != "-" and edit.name.lower() in replaced:
            yield f"{auth} and {edit.name} in {of('headers')} are set, and a request has one {edit.name}: keep one"
    for field in _NEEDED.get(upstream.auth, ()):
        if getattr(upstream, field) is None:
            yield f"{auth}, but {of(field)} is not set"


def in_clear(settings: CloudSettings, upstream: UpstreamSettings, of: Of) -> Iterator[str]:
    """Yield a sentence for each place that gets a secret without TLS beyond this host. They are warnings."""
    places: dict[str, Url | None] = {}
    if upstream.auth == OAUTH2:
        places[of("auth_oauth_token_url")] = upstream.auth_oauth_token_url
    elif upstream.auth == AZURE:
        places["AZURE_AUTHORITY_HOST"] = settings.azure_authority_host
    elif upstream.auth == AWS:
        places["AWS_ENDPOINT_URL_STS"] = settings.aws_endpoint_url_sts
    for name, place in places.items():
        if place is not None and place.scheme == "http" and not is_loopback(place.hostname):
            yield f"a secret is sent to {name}={place} without encryption: use https://"


def aws_scope(settings: CloudSettings, upstream: UpstreamSettings) -> tuple[str, str]:
    """Return the service and the region that the upstream's signatures are for; "" for a part that must be set."""
    found = {aws_hosts.service_and_region(target.host) for target in upstream.upstream.targets}
    service, region = found.pop() if len(found) == 1 else ("", "")
    return (
        upstream.auth_aws_service or service,
        upstream.auth_aws_region or region or settings.aws_region or settings.aws_default_region or "",
    )


def _aws(settings: CloudSettings, upstream: UpstreamSettings, of: Of, auth: str) -> Iterator[str]:
    service, region = aws_scope(settings, upstream)
    if not service:
        yield f"{auth}, but {of('auth_aws_service')} is not set: for which service is the signature?"
    if not region:
        yield f"{auth}, but {of('auth_aws_region')} is not set: in which region is {of('upstream')}?"
    pair = (upstream.auth_username, upstream.auth_password)
    if any(pair) and not all(pair):
        yield f"{of('auth_username')} and {of('auth_password')} belong together: set both, or none"
    if upstream.auth_session_token is not None and upstream.auth_username is None:
        yield f"{of('auth_session_token')} is set, but {of('auth_username')} is not: they belong together"
    yield from cloud_settings.container_problems(settings)


def _gcp(settings: CloudSettings, upstream: UpstreamSettings, of: Of, auth: str) -> Iterator[str]:
    if upstream.auth_audience and upstream.auth_oauth_scope:
        audience, scope = of("auth_audience"), of("auth_oauth_scope")
        yield f"{auth}: {audience} asks for an ID token and {scope} for an access token: keep one"
    if settings.google_application_credentials is not None:
        from sidecars.chassis.identity import google_federation  # noqa: PLC0415 - few have such a file

        yield from google_federation.problems(settings, upstream.auth_audience or "")


def _azure(settings: CloudSettings, _upstream: UpstreamSettings, _of: Of, auth: str) -> Iterator[str]:
    yield from cloud_settings.azure_problems(settings, auth)


def _oauth2(_settings: CloudSettings, upstream: UpstreamSettings, of: Of, _auth: str) -> Iterator[str]:
    values = {field: getattr(upstream, f"auth_{field}") for field in cloud_settings.FIELDS_OF_CLIENT}
    yield from cloud_settings.client_problems(values, lambda field: of(f"auth_{field}"))
    for name in upstream.auth_oauth_params or {}:
        if name in _OURS:
            yield f"{of('auth_oauth_params')} has {name}, which another setting decides"
