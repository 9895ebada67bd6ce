"""HTTP headers in a setting."""

from __future__ import annotations

from urllib.parse import unquote


def parse(raw: str) -> list[tuple[str, str]]:
    """`Name=value` pairs between commas, values percent-encoded where they must be, as in OTEL_EXPORTER_OTLP_HEADERS.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
    """
    found = []
    for item in raw.split(","):
        name, equals, value = item.strip().partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not _is_token(name) or not (value.isascii() and value.isprintable()):
            raise ValueError("expected Name=value pairs separated by commas, in characters that a header can carry")
        found.append((name, value))
    return found


def _is_token(name: str) -> bool:
    """RFC 9110, section 5.6.2."""
    return bool(name) and name.isascii() and all(one.isalnum() or one in "!#$%&'*+-.^_`|~" for one in name)
