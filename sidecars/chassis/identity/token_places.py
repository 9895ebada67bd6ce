"""The service that gives tokens, by the settings of a sidecar: its source, of `token_sources` and their like.

A proxy is for the services of the outside world. Those of a node, on link-local addresses, are asked directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidecars.chassis.config.cloud_settings import PRIVATE_KEY, TokenServiceSettings
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.identity import token_sources
from sidecars.chassis.identity.access_tokens import TokenSource
from sidecars.chassis.identity.service import TOKEN_TIMEOUT, ProxyFor, Service

if TYPE_CHECKING:
    from sidecars.chassis.identity.oauth.oauth_client import Proof

Tls = Callable[[], ReloadingContext]
"""Makes what connections of TLS to these services are made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """A client of a token endpoint, as its settings have it. `named` gives the variable of one of the fields here."""

    token_url: Url
    client_id: str
    method: str
    secret: Secret | None
    key: Path | None
    key_id: str
    key_audience: str
    more: Mapping[str, str]  # further parameters, such as scope
    named: Callable[[str], str]


def google(settings: TokenServiceSettings, scopes: str, audience: str, tls: Tls, proxy_for: ProxyFor) -> TokenSource:
    """Return the source of Google's tokens: of the file for workload identity federation, else the metadata server."""
    if settings.google_application_credentials is None:
        return token_sources.GcpMetadata(settings.gce_metadata_host, scopes, audience)
    from sidecars.chassis.identity.google_federation import FederatedToken  # noqa: PLC0415 - few have such a file

    file = settings.google_application_credentials
    return FederatedToken(file, tls(), scopes, audience, proxy_for=proxy_for)


def azure(settings: TokenServiceSettings, scope: str, tls: Tls, proxy_for: ProxyFor) -> TokenSource:
    """Return the source of Azure's tokens: workload identity, App Service, else the node's metadata service."""
    client_id = settings.azure_client_id or ""
    if settings.azure_federated_token_file is not None:
        url = settings.azure_authority_host or Url(urlsplit(token_sources.AZURE_AUTHORITY))
        tenant = settings.azure_tenant_id or ""
        service = _service(url, tls, proxy_for)
        return token_sources.AzureFederation(service, tenant, client_id, settings.azure_federated_token_file, scope)
    if settings.azure_app_service_endpoint is not None and settings.azure_app_service_header is not None:
        service = Service(settings.azure_app_service_endpoint, TOKEN_TIMEOUT, tls())
        return token_sources.AzureAppService(service, settings.azure_app_service_header, scope, client_id)
    return token_sources.AzureMetadata(settings.azure_pod_identity_authority_host, scope, client_id)


def oauth2(client: OAuthClient, tls: Tls, proxy_for: ProxyFor) -> TokenSource:
    """Return the source of a token endpoint's tokens."""
    from sidecars.chassis.identity.oauth.oauth_client import ClientCredentials  # noqa: PLC0415 - of this kind alone

    name = client.named("token_url")
    return ClientCredentials(_service(client.token_url, tls, proxy_for), name, _proof(client), client.more)


def _proof(client: OAuthClient) -> Proof:
    from sidecars.chassis.identity.oauth.oauth_client import ClientKey, ClientSecret  # noqa: PLC0415 - of this kind alone

    if client.method == PRIVATE_KEY and client.key is not None:
        url = client.token_url
        audience = client.key_audience or f"{url.scheme}://{url.host_port}{url.target.reveal()}"
        return ClientKey(client.client_id, client.key, client.named("key"), client.key_id, audience)
    secret, name = client.secret, client.named("secret")

    def reveal() -> str:
        return token_sources.read_secret(secret, name) if secret is not None else ""

    return ClientSecret(client.client_id, reveal, client.method)


def _service(url: Url, tls: Tls, proxy_for: ProxyFor) -> Service:
    proxy = proxy_for(url.scheme, url.hostname, url.port or DEFAULT_PORTS[url.scheme])
    return Service(url, TOKEN_TIMEOUT, tls() if url.scheme == "https" else None, proxy)
