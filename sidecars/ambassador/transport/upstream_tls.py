"""TLS to an upstream: what is offered and demanded, and what a handshake that fails is called."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import tls
from sidecars.chassis.runtime.lifecycle import IOFailed

if TYPE_CHECKING:
    from sidecars.ambassador.settings import UpstreamSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def client(settings: UpstreamSettings) -> tls.ReloadingContext:
    """The upstream's TLS. Raises IOFailed where its files cannot be used at the start."""
    files = {
        field: tls.PemFile(variable(Settings, field, settings.name), str(path))
        for field in ("tls_ca", "tls_cert", "tls_key")
        if (path := getattr(settings, field)) is not None
    }
    alpn = ("http/1.1",) if settings.upstream.protocol == "http" else settings.tls_alpn or ()
    try:
        return tls.client_context(
            files.get("tls_ca"),
            files.get("tls_cert"),
            files.get("tls_key"),
            minimum=_VERSIONS[settings.tls_min_version],
            alpn=alpn,
        )
    except tls.UnusableTLSFiles as error:
        raise IOFailed(error.reason) from None


def cause_of(error: ssl.SSLError) -> Cause:
    """Why no connection was made, by the error types of RFC 9209 sections 2.3.16 to 2.3.18."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = getattr(error, "verify_message", error)
        return Cause("tls_certificate_error", 502, f"the certificate is not accepted: {found}")
    reason = (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")
    if "alert" in reason:
        return Cause("tls_alert_received", 502, f"the TLS handshake was refused: {reason}")
    return Cause("tls_protocol_error", 502, f"the TLS handshake failed: {reason}")
