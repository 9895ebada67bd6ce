"""How a sink shows who it is: headers and TLS files, from settings that may be rotated while it runs."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import authorization, tls
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.config import header_pairs
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater

_STANDARD = "OTEL_EXPORTER_OTLP_HEADERS"


def read_secret(secret: Secret, sink: SinkSettings, field: str) -> str:
    """The secret as it is now. Raises TryLater while its file cannot be read."""
    return _read(secret, variable(Settings, field, sink.name))


def _read(secret: Secret, name: str) -> str:
    try:
        return secret.reveal()
    except (OSError, UnicodeDecodeError):
        raise RetryLater(f"the file of {name} cannot be read") from None


class Credentials:
    """The headers that a request carries for the sake of its sender, as they are now."""

    def __init__(self, sink: SinkSettings, standard: Secret | None = None) -> None:
        """`standard`: further headers, which the sink's own go before."""
        self._sink = sink
        self._standard = standard

    def headers(self) -> list[tuple[str, str]]:
        """Raises TryLater while a file cannot be read, or holds what no header can carry."""
        sink = self._sink
        found: dict[str, tuple[str, str]] = {}
        if self._standard is not None:
            found |= _named(_read(self._standard, _STANDARD), _STANDARD)
        if sink.sink_headers is not None:
            name = variable(Settings, "sink_headers", sink.name)
            found |= _named(read_secret(sink.sink_headers, sink, "sink_headers"), name)
        if sink.sink_token is not None:
            found["authorization"] = ("Authorization", authorization.bearer(self._clean(sink.sink_token, "sink_token")))
        elif sink.sink_username is not None and sink.sink_password is not None:
            password = read_secret(sink.sink_password, sink, "sink_password")
            found["authorization"] = ("Authorization", authorization.basic(sink.sink_username, password))
        return list(found.values())

    def _clean(self, secret: Secret, field: str) -> str:
        value = read_secret(secret, self._sink, field)
        if not header_pairs.can_be_a_value(value):
            name = variable(Settings, field, self._sink.name)
            raise RetryLater(f"{name} has line breaks, blanks around it or other characters that no header can carry")
        return value


def _named(raw: str, name: str) -> dict[str, tuple[str, str]]:
    try:
        return {key.lower(): (key, value) for key, value in header_pairs.parse(raw)}
    except ValueError as error:
        raise RetryLater(f"{name}: {error}") from None


def tls_context(sink: SinkSettings) -> tls.ReloadingContext:
    """The sink's TLS. Raises IOFailed where its files cannot be used at the start."""
    ca, cert, key = (tls.pem_file(sink, field, Settings, sink.name) for field in ("sink_ca", "sink_cert", "sink_key"))
    try:
        return tls.client_context(ca, cert, key)
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason) from None
