"""The connections to one app: pooled, with TLS and credentials from the settings.

Nothing of a prober's request reaches the app: each request is built from the settings alone, since many probers share
its response.
"""

from __future__ import annotations

import h11

from sidecars import chassis
from sidecars.adapter.app_client.failures import UnusableCredentials
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse
from sidecars.adapter.settings import App, Settings
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import authorization, tls
from sidecars.chassis.http.client import HttpClient, ResponseProgress

_KEEP_ALIVE = 4.0  # seconds; node and uvicorn close an idle connection after 5


class AppConnection:
    """The pool of connections to one app. Owned by the app client.

    A secret that came by file is read again for each request, so that a new secret is used at once.
    """

    def __init__(self, app: App) -> None:
        """Raises UnusableTLSFiles."""
        self._app = app
        self._requests: dict[AppRequest, tuple[str, h11.Request]] = {}
        tls_context = _tls_context(app) if app.uses_tls else None
        context = tls_context.context if tls_context else lambda: None
        self._client = HttpClient(app.target.hostname, app.port, context, keep_alive=_KEEP_ALIVE)

    async def get(self, app_request: AppRequest, progress: ResponseProgress) -> AppResponse:
        """Send the request and return the whole response. Raises the errors that `failures.classify_error` knows."""
        request = self._request(app_request)
        response = await self._client.request(request, max_body=app_request.max_body, progress=progress)
        return AppResponse(response.status, response.headers, response.body)

    def close(self) -> None:
        self._client.close()

    def _request(self, app_request: AppRequest) -> h11.Request:
        """Return the HTTP request. It is built once, and again when the credentials have changed."""
        credentials = self._authorization()
        known = self._requests.get(app_request)
        if known is None or known[0] != credentials:
            known = (credentials, self._new_request(app_request, credentials))
            self._requests[app_request] = known
        return known[1]

    def _new_request(self, app_request: AppRequest, credentials: str) -> h11.Request:
        """Build the HTTP request. Raises UnusableCredentials.

        `identity` asks for a body without compression. If the app compresses anyway, a route of the mode `forward`
        passes the compressed bytes on.
        """
        headers = [
            ("Host", self._app.target.host_port),
            ("User-Agent", f"sidecars-adapter/{chassis.__version__}"),
            ("Accept", app_request.accept),
            ("Accept-Encoding", "identity"),
        ]
        if credentials:
            headers.append(("Authorization", credentials))
        try:
            return h11.Request(method="GET", target=app_request.url.target.reveal(), headers=headers)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise UnusableCredentials(f"{self._credential()} has characters that cannot be sent") from None

    def _authorization(self) -> str:
        """Return the value of `Authorization`, or "" without credentials. Raises UnusableCredentials."""
        app = self._app
        try:
            if app.target_token:
                return authorization.bearer(app.target_token.reveal())
            if app.target_username and app.target_password:
                return authorization.basic(app.target_username, app.target_password.reveal())
        except (OSError, UnicodeDecodeError):
            raise UnusableCredentials(f"{self._credential()} cannot be read any more") from None
        return ""

    def _credential(self) -> str:
        """Return the name of the variable that holds the secret."""
        return variable(Settings, "target_token" if self._app.target_token else "target_password", self._app.name)


def _tls_context(app: App) -> tls.ReloadingContext:
    ca, cert, key = (
        tls.pem_file(app, field, Settings, app.name) for field in ("target_ca", "target_cert", "target_key")
    )
    return tls.client_context(ca, cert, key)
