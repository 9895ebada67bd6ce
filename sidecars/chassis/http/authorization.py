"""Values of the Authorization header field, and of any. No I/O."""

from __future__ import annotations

from base64 import b64encode


def basic(username: str, password: str) -> str:
    """Return the value for a user and a password (RFC 7617, in UTF-8)."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode('ascii')}"


def bearer(token: str, scheme: str = "Bearer") -> str:
    """Return the value for a token (RFC 6750), or for one with a scheme of the receiver's own."""
    return f"{scheme} {token}"


def can_be_a_value(text: str) -> bool:
    """Return True if a header can have this value: RFC 9110, section 5.5, without the obsolete forms."""
    return text.isascii() and text.isprintable() and text == text.strip()


def is_same(given: str, wanted: str) -> bool:
    """Compare in a time that depends on neither. Their digests are compared, since their lengths must not show."""
    import hmac  # noqa: PLC0415 - it loads OpenSSL: only for who compares

    key = b"sidecars"
    pair = [hmac.digest(key, text.encode(errors="replace"), "sha256") for text in (given, wanted)]
    return hmac.compare_digest(*pair)
