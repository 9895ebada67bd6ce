"""Makes the `HttpPoster` of a sink, with the identity of SINK_AUTH, whose modules are loaded only for it."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import Secret
from sidecars.logshipper.config.over_http.http_settings import SIGNED
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.credentials import BEARER
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster


def create_poster(
    settings: Settings, sink: SinkSettings, standard: Secret | None = None, token_scheme: str = BEARER
) -> HttpPoster:
    """Return the poster of a sink, which is not open yet. For the other arguments see `HttpPoster`.

    Raises IOFailed if the TLS files for a token service are unusable.
    """
    signer = None
    if sink.sink_auth in SIGNED:
        from sidecars.logshipper.sinks.identity import request_signing  # noqa: PLC0415 - few sinks need it

        signer = request_signing.create(settings, sink)
    return HttpPoster(sink, standard, token_scheme, process=settings, signer=signer)
