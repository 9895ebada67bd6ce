"""Header pairs: `name=value` pairs in a setting, separated by commas and percent-encoded, as in OpenTelemetry.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from sidecars.chassis.http.authorization import can_be_a_value

_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def parse_pairs(raw: str) -> list[tuple[str, str]]:
    """Return the pairs in order. Raises ValueError with the expected form. It repeats no text: it may be a secret."""
    found = []
    for number, item in enumerate(raw.split(","), 1):
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"expected name=value pairs separated by commas, which pair {number} is not")
        found.append((unquote(name.strip()), unquote(value.strip())))
    return found


def show_pairs(pairs: dict[str, str]) -> str:
    """Return the setting that `parse_pairs` parses into these pairs."""
    return ",".join(f"{quote(name, safe=' /')}={quote(value, safe=' /')}" for name, value in pairs.items())


def parse(raw: str) -> list[tuple[str, str]]:
    """Return the pairs as HTTP headers. Raises ValueError with the expected form, also for a header that sinks set."""
    found = parse_pairs(raw)
    for name, _ in found:
        if name.lower() in _OURS:
            raise ValueError(f"expected other headers than {name}: that one is ours to set")
    for number, (name, value) in enumerate(found, 1):
        if not (_is_token(name) and can_be_a_value(value)):
            raise ValueError(
                f"expected Name=value pairs separated by commas, in characters that a header can carry, which pair"
                f" {number} is not"
            )
    return found


def values(raw: str) -> list[str]:
    """Return the values of the pairs; of a text that has none, the text."""
    try:
        return [value for _, value in parse_pairs(raw)]
    except ValueError:
        return [raw]


def _is_token(name: str) -> bool:
    """Return True if the name is a token: RFC 9110, section 5.6.2."""
    return bool(name) and name.isascii() and all(one.isalnum() or one in "!#$%&'*+-.^_`|~" for one in name)
