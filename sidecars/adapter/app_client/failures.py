"""Exceptions of sockets, TLS and HTTP, translated into a `NoResponse`. No I/O.

This is the one place where foreign exceptions become reasons. No phrase repeats anything that the app has sent.
"""

from __future__ import annotations

import errno
import socket
import ssl

from sidecars.adapter.app_client.outcome import AppRequest, NoResponse
from sidecars.chassis.config.setting_types import format_duration, format_size
from sidecars.chassis.http.client import BodyTooLarge, ConnectionClosed, MalformedResponse, ResponseProgress
from sidecars.chassis.http.error_reasons import certificate_reason, os_reason, tls_reason


class UnusableCredentials(Exception):
    """A secret for the app cannot be read, or has characters that cannot be sent. The text names the variable."""


def classify_error(error: Exception, app_request: AppRequest, progress: ResponseProgress) -> NoResponse | None:
    """Return the reason for a failed request; None if the error is a bug of the adapter."""
    found: NoResponse | None = None
    match error:
        case TimeoutError():  # the deadline of the request: the kernel's own time-out comes only after minutes
            found = NoResponse("timeout", f"{_so_far(progress)} within {format_duration(app_request.timeout)}")
        case BodyTooLarge():
            found = NoResponse("too_large", f"answered with more than {format_size(app_request.max_body)}")
        case ConnectionClosed():
            found = NoResponse("closed", f"{_so_far(progress)}: it closed the connection")
        case MalformedResponse():
            found = NoResponse("malformed", "answered with bytes that are not HTTP, or with too large a head")
        case UnusableCredentials():
            found = NoResponse("credentials", f"cannot be reached: {error}")
        case OSError():
            found = classify_connection_error(error)
    return found


def _so_far(progress: ResponseProgress) -> str:
    if not progress.status:
        return "did not answer"
    status, received = progress.status, progress.received
    return f"began a response with the status {status}, but did not end it after {received} B of its body"


def classify_connection_error(error: OSError) -> NoResponse:
    """Return the reason why there is no connection."""
    match error:
        case socket.gaierror():
            return NoResponse("unresolved", "cannot be reached: its host name has no address")
        case ssl.SSLCertVerificationError():
            return NoResponse("tls", f"cannot be reached: its certificate is not trusted: {certificate_reason(error)}")
        case ssl.SSLError():
            return NoResponse("tls", f"cannot be reached: TLS failed: {tls_reason(error)}")
        case OSError(errno=errno.ECONNREFUSED):
            return NoResponse("refused", "cannot be reached: connection refused; is the app up?")
    return NoResponse("unreachable", f"cannot be reached: {os_reason(error) or type(error).__name__}")
