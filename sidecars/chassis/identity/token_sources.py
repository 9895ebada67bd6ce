"""The services that give access tokens. Each is asked on a connection of its own, about once in an hour.

| authentication | service | request |
|---|---|---|
| gcp | metadata server of the node or of GKE (Workload Identity) | GET …/service-accounts/default/token |
| gcp, with an audience | the same: an ID token, such as Cloud Run wants | GET …/service-accounts/default/identity |
| azure | Entra ID, if AZURE_FEDERATED_TOKEN_FILE is set (workload identity) | POST of the Pod's token as an assertion |
| azure | App Service, if IDENTITY_ENDPOINT is set | GET with X-IDENTITY-HEADER |
| azure | metadata service of the node (managed identity), else | GET /metadata/identity/oauth2/token |
| oauth2 | a token endpoint (client credentials) | `oauth` has it |

`google_federation` has the exchange of another place's token for one of Google.

No redirect is followed, so a secret goes to the service of the setting alone. Metadata services are asked directly.

https://cloud.google.com/compute/docs/access/authenticate-workloads
https://cloud.google.com/run/docs/authenticating/service-to-service
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import Url
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.access_tokens import ASSERTION, AccessToken, parse_id_token, parse_token
from sidecars.chassis.identity.answers import NoCredentials, json_object, read_token
from sidecars.chassis.identity.service import FORM, JSON, Service

METADATA_TIMEOUT = 3.0
"""Seconds of a request to a metadata service."""
AZURE_AUTHORITY = "https://login.microsoftonline.com/"
AZURE_METADATA = "http://169.254.169.254"
GOOGLE_METADATA = "metadata.google.internal"


class GcpMetadata:
    """The service account of the node or, on GKE with Workload Identity, of the Pod.

    `scopes`: between blanks; "" for those of the account. `audience`: for an ID token instead of an access token.
    `clock`: seconds since 1970.
    """

    _ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"

    def __init__(
        self, host: str | None, scopes: str = "", audience: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._service = Service(Url(urlsplit(f"http://{host or GOOGLE_METADATA}")), METADATA_TIMEOUT)
        self._wants_id = bool(audience)
        if audience:
            self._target = f"{self._ACCOUNT}identity?audience={quote(audience, safe='')}&format=full"
        else:
            self._target = f"{self._ACCOUNT}token"
            if scopes:
                self._target += f"?scopes={quote(scopes.replace(' ', ','), safe=',')}"

    async def fetch(self, now: float) -> AccessToken:
        try:
            response = await self._service.ask("GET", self._target, [("Metadata-Flavor", "Google")])
        except NoCredentials as error:
            raise NoCredentials(f"no token of Google's metadata server: {error.reason}") from None
        if response.status == 200 and response.headers.get("metadata-flavor") != "Google":
            raise NoCredentials("what answers in the place of Google's metadata server is another server")
        name = "Google's metadata server"
        if self._wants_id:
            wall = self._clock()
            wall += service_clock.of(response.headers, wall)
            return parse_id_token(response.status, response.body, name, now, wall)
        return parse_token(response.status, response.body, name, now)


class AzureFederation:
    """Workload identity: the Pod's token is exchanged for one of Entra ID."""

    def __init__(self, service: Service, tenant: str, client_id: str, token_file: Path, scope: str) -> None:
        self._service = service
        self._target = f"{service.url.target.reveal().rstrip('/')}/{quote(tenant)}/oauth2/v2.0/token"
        self._client_id, self._token_file, self._scope = client_id, token_file, scope

    async def fetch(self, now: float) -> AccessToken:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "scope": self._scope,
            "client_assertion_type": ASSERTION,
            "client_assertion": read_token(self, self._token_file, "AZURE_FEDERATED_TOKEN_FILE"),
        }
        response = await self._service.ask("POST", self._target, [FORM, JSON], urlencode(form).encode())
        return parse_token(response.status, response.body, "Entra ID", now)


class AzureMetadata:
    """The managed identity of the node, or that of a client id ("" for none)."""

    def __init__(self, url: Url | None, scope: str, client_id: str = "") -> None:
        self._service = Service(url or Url(urlsplit(AZURE_METADATA)), METADATA_TIMEOUT)
        query = {"api-version": "2018-02-01", "resource": resource_of(scope)}
        if client_id:
            query["client_id"] = client_id
        self._target = f"/metadata/identity/oauth2/token?{urlencode(query)}"

    async def fetch(self, now: float) -> AccessToken:
        try:
            response = await self._service.ask("GET", self._target, [("Metadata", "true")])
        except NoCredentials as error:
            raise NoCredentials(
                f"AZURE_FEDERATED_TOKEN_FILE is not set, and no token of Azure's metadata service: {error.reason}"
            ) from None
        return parse_token(response.status, response.body, "Azure's metadata service", now)


class AzureAppService:
    """The managed identity of App Service, Functions and Container Apps. `clock`: seconds since 1970."""

    def __init__(
        self, service: Service, secret: Secret, scope: str, client_id: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._service, self._secret, self._clock = service, secret, clock
        query = {"api-version": "2019-08-01", "resource": resource_of(scope)}
        if client_id:
            query["client_id"] = client_id
        self._target = f"{service.url.target.reveal() or '/'}?{urlencode(query)}"

    async def fetch(self, now: float) -> AccessToken:
        fields = [("X-IDENTITY-HEADER", read_secret(self._secret, "IDENTITY_HEADER"))]
        response = await self._service.ask("GET", self._target, fields)
        ahead = service_clock.of(response.headers, self._clock())
        life = self._life(response.body, ahead)  # it gives the end, and no length of life
        return parse_token(response.status, response.body, "the managed identity of IDENTITY_ENDPOINT", now, life)

    def _life(self, body: bytes, ahead: float) -> float | None:
        ends = (json_object(body) or {}).get("expires_on")
        try:
            return float(ends) - self._clock() - ahead if isinstance(ends, str | int) else None
        except (ValueError, OverflowError):
            return None


def resource_of(scope: str) -> str:
    """Return the resource that a scope of Azure names: its metadata services ask for that."""
    return scope.removesuffix("/.default")


def read_secret(secret: Secret, variable: str) -> str:
    """Return the current value of the secret of a setting. Raises NoCredentials if its file is unreadable."""
    try:
        return secret.reveal()
    except (OSError, UnicodeDecodeError):
        raise NoCredentials(f"the file of {variable} cannot be read") from None
