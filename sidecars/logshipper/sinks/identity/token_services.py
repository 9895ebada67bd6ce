"""The service that gives the access tokens of a sink, by its SINK_AUTH. `chassis.identity.token_sources` asks it.

Metadata services are asked directly; the others through the sink's proxy.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sidecars.chassis.config.settings import variable
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http.tls import ReloadingContext, client_context
from sidecars.chassis.identity import token_sources
from sidecars.chassis.identity.access_tokens import TokenSource
from sidecars.chassis.identity.service import Service
from sidecars.chassis.identity.token_sources import TOKEN_TIMEOUT
from sidecars.logshipper.config.over_http.http_settings import proxy_for
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_AZURE_DEFAULT_SCOPE = "https://monitor.azure.com/.default"


def create(settings: Settings, sink: SinkSettings) -> TokenSource:
    """Return the service of the sink's SINK_AUTH. Raises IOFailed if TLS files are unusable."""
    if sink.sink_auth == "gcp":
        return token_sources.GcpMetadata(settings.gce_metadata_host, sink.sink_oauth_scope or "")
    if sink.sink_auth == "oauth2":
        return client_credentials(settings, sink)
    scope, client_id = sink.sink_oauth_scope or _AZURE_DEFAULT_SCOPE, settings.azure_client_id or ""
    if settings.azure_federated_token_file is None:
        return token_sources.AzureMetadata(settings.azure_pod_identity_authority_host, scope, client_id)
    url = settings.azure_authority_host or Url(urlsplit(token_sources.AZURE_AUTHORITY))
    service = _service(settings, sink, url, client_context())
    tenant = settings.azure_tenant_id or ""
    return token_sources.AzureFederation(service, tenant, client_id, settings.azure_federated_token_file, scope)


def client_credentials(settings: Settings, sink: SinkSettings) -> TokenSource:
    """Return SINK_OAUTH_TOKEN_URL, with the sink's user name and password as client id and secret."""
    url = sink.sink_oauth_token_url
    if url is None:
        raise AssertionError("the settings were checked")

    def secret() -> str:
        name = variable(Settings, "sink_password", sink.name)
        return token_sources.read_secret(sink.sink_password, name) if sink.sink_password else ""

    service = _service(settings, sink, url, tls_context(sink) if url.scheme == "https" else None)
    name = variable(Settings, "sink_oauth_token_url", sink.name)
    more = {"scope": sink.sink_oauth_scope} if sink.sink_oauth_scope else {}
    return token_sources.ClientCredentials(service, name, sink.sink_username or "", secret, more)


def _service(settings: Settings, sink: SinkSettings, url: Url, tls: ReloadingContext | None) -> Service:
    proxy = proxy_for(settings, sink, url.scheme, url.hostname, url.port or DEFAULT_PORTS[url.scheme])
    return Service(url, TOKEN_TIMEOUT, tls, proxy)
