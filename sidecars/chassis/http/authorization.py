"""Values of the Authorization header field. No I/O."""

from __future__ import annotations

from base64 import b64encode


def basic(username: str, password: str) -> str:
    """Return the value for a user and a password (RFC 7617, in UTF-8)."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode('ascii')}"


def bearer(token: str) -> str:
    """Return the value for a token (RFC 6750)."""
    return f"Bearer {token}"
