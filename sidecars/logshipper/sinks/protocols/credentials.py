"""The credentials of a sink: header fields and TLS files. Secrets are read again for each request: they rotate."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import authorization, tls
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.config import header_pairs
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater

BEARER = "Bearer"
_STANDARD = "OTEL_EXPORTER_OTLP_HEADERS"


def read_secret(secret: Secret, settings: SinkSettings, field: str) -> str:
    """Return the current value of the secret in the settings' `field`. Raises RetryLater if its file is unreadable."""
    return _read(secret, variable(Settings, field, settings.name))


def _read(secret: Secret, name: str) -> str:
    try:
        return secret.reveal()
    except (OSError, UnicodeDecodeError):
        raise RetryLater(f"the file of {name} cannot be read") from None


class Credentials:
    """The header fields of one sink's requests that identify the sender. Owned by the sink's `HttpPoster`.

    `standard`: header fields from the environment of OpenTelemetry. The sink's own fields win. `token_scheme`: the
    scheme of the Authorization field with SINK_TOKEN.
    """

    def __init__(self, settings: SinkSettings, standard: Secret | None = None, token_scheme: str = BEARER) -> None:
        self._settings = settings
        self._standard = standard
        self._token_scheme = token_scheme

    def headers(self) -> list[tuple[str, str]]:
        """Return the current header fields.

        Raises RetryLater if a file is unreadable, or has a value that no header field can carry.
        """
        settings = self._settings
        by_settings = settings.sink_auth in (None, "basic", "bearer")  # others: see `signing`
        found: dict[str, tuple[str, str]] = {}
        if self._standard is not None:
            found |= _by_name(_read(self._standard, _STANDARD), _STANDARD)
        if settings.sink_headers is not None:
            name = variable(Settings, "sink_headers", settings.name)
            found |= _by_name(read_secret(settings.sink_headers, settings, "sink_headers"), name)
        if settings.sink_auth not in (None, "none"):
            found.pop("authorization", None)  # a request has one
        if not by_settings:
            return list(found.values())
        if settings.sink_token is not None:
            token = self._field_value(settings.sink_token, "sink_token")
            found["authorization"] = ("Authorization", authorization.bearer(token, self._token_scheme))
        elif settings.sink_username is not None and settings.sink_password is not None:
            password = read_secret(settings.sink_password, settings, "sink_password")
            found["authorization"] = ("Authorization", authorization.basic(settings.sink_username, password))
        return list(found.values())

    def _field_value(self, secret: Secret, field: str) -> str:
        value = read_secret(secret, self._settings, field)
        if not authorization.can_be_a_value(value):
            name = variable(Settings, field, self._settings.name)
            raise RetryLater(f"{name} has line breaks, blanks around it or other characters that no header can carry")
        return value


def _by_name(raw: str, variable_name: str) -> dict[str, tuple[str, str]]:
    """Return header fields by their name in lower case."""
    try:
        return {key.lower(): (key, value) for key, value in header_pairs.parse(raw)}
    except ValueError as error:
        raise RetryLater(f"{variable_name}: {error}") from None


def tls_context(settings: SinkSettings) -> tls.ReloadingContext:
    """Return the TLS context of the sink, which follows its files. Raises IOFailed if they are unusable."""
    fields = ("sink_ca", "sink_cert", "sink_key")
    ca, cert, key = (tls.pem_file(settings, field, Settings, settings.name) for field in fields)
    try:
        return tls.client_context(ca, cert, key)
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason, code="tls-files-unusable") from None
