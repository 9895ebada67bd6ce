"""The service that gives the access tokens of a sink, by its SINK_AUTH: a source of `chassis.identity.token_places`."""

from __future__ import annotations

from functools import partial

from sidecars.chassis.config.settings import variable
from sidecars.chassis.http.tls import client_context
from sidecars.chassis.identity import token_places
from sidecars.chassis.identity.access_tokens import TokenSource
from sidecars.chassis.identity.token_places import OAuthClient
from sidecars.logshipper.config.over_http.http_settings import proxy_for
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_AZURE_DEFAULT_SCOPE = "https://monitor.azure.com/.default"


def create(settings: Settings, sink: SinkSettings) -> TokenSource:
    """Return the service of the sink's SINK_AUTH. Raises IOFailed if TLS files are unusable."""
    proxy = partial(proxy_for, settings, sink)
    if sink.sink_auth == "gcp":
        return token_places.google(settings, sink.sink_oauth_scope or "", "", client_context, proxy)
    if sink.sink_auth == "oauth2":
        return client_credentials(settings, sink)
    return token_places.azure(settings, sink.sink_oauth_scope or _AZURE_DEFAULT_SCOPE, client_context, proxy)


def client_credentials(settings: Settings, sink: SinkSettings) -> TokenSource:
    """Return SINK_OAUTH_TOKEN_URL, with the sink's user name as client id. Raises IOFailed if TLS files are bad."""
    url = sink.sink_oauth_token_url
    if url is None:
        raise AssertionError("the settings were checked")
    client = OAuthClient(
        token_url=url,
        client_id=sink.sink_username or "",
        method=sink.sink_oauth_client,
        secret=sink.sink_password,
        key=sink.sink_oauth_key,
        key_id=sink.sink_oauth_key_id or "",
        key_audience=sink.sink_oauth_key_audience or "",
        more={"scope": sink.sink_oauth_scope} if sink.sink_oauth_scope else {},
        named=partial(_variable, sink.name),
    )
    return token_places.oauth2(client, partial(tls_context, sink), partial(proxy_for, settings, sink))


def _variable(name: str, field: str) -> str:
    return variable(Settings, "sink_password" if field == "secret" else f"sink_oauth_{field}", name)
