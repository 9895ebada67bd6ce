"""The meaning of each error type, for people. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MEANINGS: Final = {
    "connection_limit_reached": "a limit of the ambassador was reached: connections, requests under way or waiting, "
    "memory or files",
    "connection_refused": "an endpoint refused the connection",
    "connection_terminated": "an endpoint closed the connection before its response came",
    "connection_timeout": "a connection to an endpoint did not open in time",
    "destination_ip_prohibited": "the PROXY of the upstream refuses to connect to an endpoint",
    "destination_ip_unroutable": "the address of an endpoint cannot be reached",
    "destination_not_found": "no upstream of a port had a route for a request",
    "destination_unavailable": "the PROXY of the upstream could not connect to an endpoint",
    "dns_error": "the upstream had no address",
    "grpc_needs_http2": "a call of gRPC had an upstream of HTTP/1.1 alone",
    "http_protocol_error": "a response was malformed",
    "http_request_denied": "there were more requests than RATE_LIMIT allows",
    "http_request_error": "a request was rejected: it was malformed, too large or too slow",
    "http_response_header_section_size": "the head, or the trailers, of a response were too large",
    "http_response_incomplete": "a response broke off",
    "http_response_timeout": "no response came in time",
    "http_upgrade_failed": "a request asked to switch protocols, which an h2c:// endpoint cannot",
    "proxy_configuration_error": "the PROXY of the upstream wants another user or password",
    "proxy_internal_error": "there were no credentials for the upstream (AUTH), or the ambassador has a defect: its "
    "log says which",
    "tls_alert_received": "an endpoint ended the TLS handshake with an alert",
    "tls_certificate_error": "the certificate of an endpoint is not trusted, or has another name",
    "tls_protocol_error": "the TLS handshake with an endpoint failed",
}


def errors_by_reason(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the errors that have occurred, each with its meaning. The most frequent is the first."""
    found = [(error, count) for error, count in counts.items() if count]
    found.sort(key=lambda each: -each[1])
    return [{"error": error, "count": count, "meaning": _MEANINGS.get(error, "")} for error, count in found]
