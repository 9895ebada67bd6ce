"""Access tokens (RFC 6750): what the services answer that give them, and when a new one is due. Pure.

A token is a secret: whoever keeps it has it looked for in all outputs.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any, Protocol

from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.http.peer_text import error_message, sanitized
from sidecars.chassis.identity.answers import NoCredentials, json_object

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The kind of a signed token that proves which client asks (RFC 7523, 2.2)."""

_LONGEST_TOKEN = 16 * 1024  # characters
_EARLIEST, _LATEST = 300.0, 60.0  # seconds before the end at which a new token is fetched
_HIGHEST_TIME = 1 << 53  # seconds since 1970: what a float holds exactly
_DEFAULT_LIFE, _SHORTEST_LIFE, _LONGEST_LIFE = 300.0, 1.0, 86400.0  # seconds


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token. `ends`: seconds of the clock at which it does; `fetched`: at which it came."""

    text: str = field(repr=False)
    fetched: float
    ends: float

    def renew_at(self, chance: float) -> float:
        """Return the time for a new one; if it is short-lived, when half of its time is left. `chance`: in [0, 1)."""
        margin = _LATEST + (_EARLIEST - _LATEST) * chance
        return self.ends - min(margin, (self.ends - self.fetched) / 2)


def parse_token(status: int, body: bytes, service: str, now: float, life: float | None = None) -> AccessToken:
    """Return the token of an answer (RFC 6749, 5.1). `now`: seconds. Raises NoCredentials with a sentence.

    `life`: the seconds for which the token is valid, if the answer says that in another way than by `expires_in`.
    """
    _check_status(status, body, service)
    answer = json_object(body)
    if answer is None:
        raise NoCredentials(f"{service} gives no token: its answer is no JSON object")
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(token, str) or not _is_usable(token):
        raise NoCredentials(f"{service} gives no token: its answer has none that a header can carry")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoCredentials(f"{service} gives a token that is no bearer token")
    return _token(token, service, now, answer.get("expires_in") if life is None else life)


def parse_id_token(status: int, body: bytes, service: str, now: float, wall: float) -> AccessToken:
    """Return the ID token that is the body of an answer. Raises NoCredentials with a sentence.

    Who asks for it does not check it: it is for the receiver. So its claims are read for its length of life alone:
    `exp` - `iat` (RFC 7519, 4.1), or the time until `exp`, since metadata servers keep tokens and give them again.

    - `now`: seconds of the clock that its end counts in.
    - `wall`: seconds since 1970, by the clock of the service. If it is beyond `exp`, it is taken to be wrong.
    """
    _check_status(status, body, service)
    token = body.decode("latin-1").strip()
    if not _is_usable(token):
        raise NoCredentials(f"{service} gives no token: its answer has none that a header can carry")
    return _token(token, service, now, _life_of_jwt(token, wall))


def _token(text: str, service: str, now: float, life: Any) -> AccessToken:
    """Return a token that ends after `life`. One that ends while it is under way would be asked for again and again."""
    seconds = _life(life)
    if seconds < _SHORTEST_LIFE:
        raise NoCredentials(f"{service} gives a token for {seconds:.3g} s, which is too short to use it")
    return AccessToken(text, now, now + seconds)


def _check_status(status: int, body: bytes, service: str) -> None:
    if status != 200:
        words = _refusal(body)
        raise NoCredentials(f"{service} gives no token: it answered with {status}" + (f": {words}" if words else ""))


def _is_usable(token: str) -> bool:
    return 0 < len(token) <= _LONGEST_TOKEN and can_be_a_value(token)


def _life_of_jwt(token: str, wall: float) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json_object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    ends, issued = (claims or {}).get("exp"), (claims or {}).get("iat")
    if not isinstance(ends, int) or not isinstance(issued, int) or not 0 <= issued <= ends < _HIGHEST_TIME:
        return None
    life = float(ends - issued)
    return min(life, ends - wall) if wall < ends else life


def _life(value: Any) -> float:
    """Return the seconds for which a token is valid, at most a day. Azure's metadata service writes them as a text.

    No number, and one that is not above 0, says nothing: then it is five minutes.
    """
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else _DEFAULT_LIFE


def _refusal(body: bytes) -> str:
    """Return `error` and the first line of `error_description` (RFC 6749, 5.2), or what else the answer says."""
    answer = json_object(body)
    if answer is not None and isinstance(answer.get("error"), str):
        description = answer.get("error_description")
        first = description.partition("\n")[0] if isinstance(description, str) else ""
        return sanitized(": ".join(part for part in (answer["error"], first) if part))
    return error_message(body)


class TokenSource(Protocol):
    """A service that gives tokens."""

    async def fetch(self, now: float) -> AccessToken:
        """Return a new token. `now`: seconds of the clock that its end counts in. Raises NoCredentials."""
