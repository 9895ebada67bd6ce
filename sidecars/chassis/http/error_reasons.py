"""Errors of the operating system and of OpenSSL, in words for a log line or an error message. No I/O.

`os_reason`, `tls_reason` and `certificate_reason` return the C library's or OpenSSL's own words. They never repeat the
text of the exception, which an event loop or a peer may have filled. `reason_of` falls back to that text.
"""

from __future__ import annotations

import os
from socket import gaierror
from ssl import SSLCertVerificationError, SSLError


def tls_reason(error: SSLError) -> str:
    """Return OpenSSL's words for the error, such as `wrong version number`."""
    return _openssl_words(error) or "no reason given"


def certificate_reason(error: SSLCertVerificationError) -> str:
    """Return OpenSSL's words for a certificate that is not accepted, such as `certificate has expired`."""
    return str(getattr(error, "verify_message", "")) or tls_reason(error)


def os_reason(error: OSError) -> str:
    """Return the C library's words for the error, such as `Connection refused`; "" if it has none."""
    if error.errno and not isinstance(error, gaierror):
        return os.strerror(error.errno)
    return error.strerror or ""


def reason_of(error: BaseException | None) -> str:
    """Return the words for any error of a connection; "" for None, and for an error without a text."""
    if isinstance(error, SSLError):
        return _openssl_words(error) or str(error).lower()
    if isinstance(error, OSError):
        return os_reason(error) or str(error)
    return str(error) if error else ""


def _openssl_words(error: SSLError) -> str:
    reason = getattr(error, "reason", None)  # an error that OpenSSL has not made has none
    return str(reason or "").lower().replace("_", " ")
