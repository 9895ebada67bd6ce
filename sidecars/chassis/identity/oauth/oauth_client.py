"""OAuth 2.0 client credentials: a token endpoint, and what proves to it which client asks (RFC 6749, 4.4).

| method | proof | the form gets | Authorization |
|---|---|---|---|
| basic | the client's secret | | client id and secret (RFC 6749, 2.3.1) |
| post | the client's secret | `client_id`, `client_secret` | |
| private_key_jwt | a signature with its private key | an assertion (RFC 7523, 2.2) | |

An assertion is a JWT that is valid for five minutes, once. Its time is that of this clock, or that of the endpoint if
a refusal shows that they differ: then the request is made again, once. Files are read anew for each token.

https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from sidecars.chassis.config.cloud_settings import POST
from sidecars.chassis.http import authorization
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.access_tokens import ASSERTION, AccessToken, parse_token
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.service import FORM, JSON, Service
from sidecars.chassis.runtime import file_io, scrubber

_VALID = 300  # seconds of an assertion
_REFUSALS = (400, 401)
_SAME = 5.0  # seconds that two clocks may differ: some endpoints refuse an assertion of the future


class Proof(Protocol):
    """A proof of the identity of an OAuth client: its secret, or an assertion that it has signed."""

    def put(self, form: dict[str, str], fields: list[tuple[str, str]]) -> None:
        """Put it into the form and the header fields of a request. Raises NoCredentials."""

    def takes_clock(self, response: ClientResponse) -> bool:
        """Return True if the refused request would have another time now."""


class ClientSecret:
    """A client id and its secret, which is read at each use. `method`: BASIC or POST."""

    def __init__(self, client_id: str, secret: Callable[[], str], method: str) -> None:
        self._client_id, self._secret, self._method = client_id, secret, method

    def put(self, form: dict[str, str], fields: list[tuple[str, str]]) -> None:
        if self._method == POST:
            form |= {"client_id": self._client_id, "client_secret": self._secret()}
        else:
            client = authorization.basic(quote_plus(self._client_id), quote_plus(self._secret()))
            fields.insert(0, ("Authorization", client))

    def takes_clock(self, _response: ClientResponse) -> bool:
        return False


class ClientKey:
    """A client id and its private key, in a PEM file.

    - `variable`: the setting with the file, for messages.
    - `key_id`: the name by which the endpoint knows the key; "" for none.
    - `audience`: the endpoint, as it knows itself.
    - `clock`: seconds since 1970.
    """

    def __init__(
        self,
        client_id: str,
        file: Path,
        variable: str,
        key_id: str,
        audience: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client_id, self._file, self._variable = client_id, file, variable
        self._key_id, self._audience, self._clock = key_id, audience, clock
        self._ahead = 0.0  # seconds that the endpoint's clock is ahead

    def put(self, form: dict[str, str], _fields: list[tuple[str, str]]) -> None:
        made = self._assertion(int(self._clock() + self._ahead))
        scrubber.hide(self, [made])
        form |= {"client_id": self._client_id, "client_assertion_type": ASSERTION, "client_assertion": made}

    def takes_clock(self, response: ClientResponse) -> bool:
        ahead = service_clock.of(response.headers, self._clock(), _SAME)
        is_other = abs(ahead - self._ahead) >= _SAME
        if is_other:
            self._ahead = ahead
        return is_other

    def _assertion(self, now: int) -> str:
        from sidecars.chassis.identity.oauth import private_key  # noqa: PLC0415 - few have a key

        try:
            key = private_key.PrivateKey(file_io.read_text(str(self._file)).encode())
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NoCredentials(f"the file of {self._variable} cannot be read: {why} ({self._file})") from None
        except private_key.UnusableKey as error:
            raise NoCredentials(f"the file of {self._variable} cannot be used: {error.reason}") from None
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _VALID,
        }
        head = {"typ": "JWT", "alg": key.algorithm} | ({"kid": self._key_id} if self._key_id else {})
        signed = f"{_segment(head)}.{_segment(claims)}"
        try:
            return f"{signed}.{_base64(key.sign(signed.encode()))}"
        except private_key.UnusableKey as error:
            raise NoCredentials(f"the file of {self._variable} cannot be used: {error.reason}") from None
        finally:
            key.close()


def _segment(part: Mapping[str, object]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class ClientCredentials:
    """A token endpoint. `name`: that of the setting with the endpoint, for messages.

    `more`: further parameters of the form, such as `scope`.
    """

    def __init__(self, service: Service, name: str, proof: Proof, more: Mapping[str, str]) -> None:
        self._service, self._name, self._proof, self._more = service, name, proof, more
        self._target = service.url.target.reveal() or "/"

    async def fetch(self, now: float) -> AccessToken:
        response = await self._ask()
        if response.status in _REFUSALS and self._proof.takes_clock(response):
            response = await self._ask()
        return parse_token(response.status, response.body, self._name, now)

    async def _ask(self) -> ClientResponse:
        form, fields = {"grant_type": "client_credentials", **self._more}, [FORM, JSON]
        self._proof.put(form, fields)
        try:
            return await self._service.ask("POST", self._target, fields, urlencode(form).encode())
        except NoCredentials as error:
            raise NoCredentials(f"no token of {self._name}: {error.reason}") from None
