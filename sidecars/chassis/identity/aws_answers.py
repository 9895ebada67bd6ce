"""Answers of STS and of the metadata services, read as keys or as a sentence. Pure.

| service | answer |
|---|---|
| STS | XML: AccessKeyId, SecretAccessKey, SessionToken, Expiration; and for an error Code, Message |
| container, instance | JSON: AccessKeyId, SecretAccessKey, Token, Expiration; an error: code, message |

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.http.peer_text import sanitized
from sidecars.chassis.identity.answers import LONGEST_ANSWER, json_object
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.identity.xml_elements import element


class UnusableAnswer(Exception):
    """The answer has no keys. `reason` is the end of a sentence about the service."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def keys_of_sts(status: int, body: bytes, ahead: float = 0.0) -> AwsKeys:
    """Return the keys in an answer of STS. Raises UnusableAnswer.

    `ahead`: the seconds that its clock is ahead of this one. The end of the keys is in the time of this clock.
    """
    if status != 200:
        raise UnusableAnswer(_refusal(status, element(body, "Code"), element(body, "Message")))
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    return _keys(ahead, *(element(body, name) for name in names))


def keys_of_metadata(status: int, body: bytes, ahead: float = 0.0) -> AwsKeys:
    """Return the keys in an answer of a container's or an instance's metadata service. Raises UnusableAnswer."""
    members = json_object(body[:LONGEST_ANSWER]) or {}
    code = members.get("Code", members.get("code"))
    if status != 200 or code not in (None, "Success"):
        raise UnusableAnswer(_refusal(status, code, members.get("Message", members.get("message"))))
    names = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
    return _keys(ahead, *(members.get(name) for name in names))


def _keys(ahead: float, access: Any, secret: Any, token: Any, ends: Any) -> AwsKeys:
    texts = [text for text in (access, secret, token) if text is not None]
    usable = access and secret and all(isinstance(text, str) and can_be_a_value(text) for text in texts)
    if not usable:
        raise UnusableAnswer("its answer has no credentials")
    seconds = _seconds(ends)
    return AwsKeys(access, secret, token or None, None if seconds is None else seconds - ahead)


def _seconds(text: Any) -> float | None:
    """Return the seconds since 1970 of a time such as 2026-11-30T06:00:00Z; None if it is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UnusableAnswer("its answer has no valid Expiration") from None
    if found.tzinfo is None:
        raise UnusableAnswer("its answer has no valid Expiration")
    return found.timestamp()


def _refusal(status: int, code: Any, message: Any) -> str:
    words = sanitized(": ".join(part for part in (code, message) if isinstance(part, str) and part))
    return f"it answered with {status}" + (f": {words}" if words else "")
