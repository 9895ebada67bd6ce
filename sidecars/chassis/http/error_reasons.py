"""Errors of the operating system and of OpenSSL, in words for a log line or an error message. No I/O.

None of these words comes from a peer: a reason is OpenSSL's or the C library's own text.
"""

from __future__ import annotations

import os
from socket import gaierror
from ssl import SSLCertVerificationError, SSLError


def tls_reason(error: SSLError) -> str:
    """Return OpenSSL's words for the error, such as `wrong version number`."""
    reason = getattr(error, "reason", None)  # an error that OpenSSL has not made has none
    return str(reason or str(error) or "no reason given").lower().replace("_", " ")


def certificate_reason(error: SSLCertVerificationError) -> str:
    """Return why the peer's certificate is not accepted, such as `certificate has expired`."""
    return str(getattr(error, "verify_message", "") or tls_reason(error))


def os_reason(error: OSError) -> str:
    """Return the C library's words for the error; "" if it has neither a number nor a text.

    The text of the exception itself may be longer: the event loops put addresses into it.
    """
    if error.errno and not isinstance(error, gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)


def reason_of(error: BaseException | None) -> str:
    """Return the words for any error of a connection; "" for None, and for an error without a text."""
    match error:
        case None:
            return ""
        case SSLError():
            return tls_reason(error)
        case OSError():
            return os_reason(error)
    return str(error)
