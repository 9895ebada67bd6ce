"""TLS to an upstream: the context with its files and versions, and the cause of a handshake that failed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.config.setting_types import AUTO_PROTOCOL, DIRECT, HTTP1_ALONE, HTTP2_ALONE
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.settings import Settings
from sidecars.chassis.http import tls
from sidecars.chassis.http.error_reasons import certificate_reason, reason_of
from sidecars.chassis.runtime.lifecycle import IOFailed

if TYPE_CHECKING:
    from sidecars.ambassador.config.upstream_settings import UpstreamSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


HTTP1: Final = "http/1.1"  # a name of ALPN (RFC 7301 section 6), as the next one
HTTP2: Final = "h2"
POSTGRES: Final = "postgresql"
_OFFERS: Final = {AUTO_PROTOCOL: (HTTP2, HTTP1), HTTP1_ALONE: (HTTP1,), HTTP2_ALONE: (HTTP2,)}


def client(settings: UpstreamSettings, *, http1_alone: bool = False) -> tls.ReloadingContext:
    """Return the TLS context of an upstream, which offers the protocols of PROTOCOL or TLS_ALPN.

    `http1_alone` is True for a request that needs HTTP/1.1, since it asks to switch protocols. Raises IOFailed if its
    files cannot be used at the start.
    """
    ca, cert, key = (
        tls.pem_file(settings, field, Settings, settings.name) for field in ("tls_ca", "tls_cert", "tls_key")
    )
    alpn = _OFFERS[HTTP1_ALONE if http1_alone else settings.protocol]
    if settings.upstream.protocol != "http":
        alpn = settings.tls_alpn or ((POSTGRES,) if settings.tls_negotiation == DIRECT else ())
    try:
        return tls.client_context(
            ca,
            cert,
            key,
            minimum=_VERSIONS[settings.tls_min_version],
            alpn=alpn,
        )
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason, code="tls-files-unusable") from None


def cause_of(error: ssl.SSLError) -> Cause:
    """Return the cause of a handshake that failed, by the error types of RFC 9209 sections 2.3.16 to 2.3.18."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = certificate_reason(error)
        return Cause("tls_certificate_error", 502, f"the certificate is not accepted: {found}")
    reason = reason_of(error)
    if "alert" in reason:
        return Cause("tls_alert_received", 502, f"the TLS handshake was refused: {reason}")
    return Cause("tls_protocol_error", 502, f"the TLS handshake failed: {reason}")
