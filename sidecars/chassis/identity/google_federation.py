"""Workload identity federation of Google Cloud: a token of another place is exchanged for one of Google.

    file of `gcloud iam workload-identity-pools create-cred-config` (type external_account)
        credential_source.file ──▶ the Pod's token ──▶ token_url (STS, RFC 8693) ──▶ federated token
                                                                                        │
        service_account_impersonation_url ── if there is one: generateAccessToken ◀─────┤
        an audience: generateIdToken ◀──────────────────────────────────────────────────┘

The configuration names the places to which the token goes. So it is as trusted as the settings, and its URLs must be
`https`, but for loopback. Both files are read anew for each token.

https://cloud.google.com/iam/docs/workload-identity-federation-with-kubernetes
https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sidecars.chassis.config.cloud_settings import TokenServiceSettings
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url, is_loopback
from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.access_tokens import AccessToken, parse_id_token, parse_token
from sidecars.chassis.identity.answers import NoCredentials, json_object, read_token
from sidecars.chassis.identity.service import FORM, JSON, TOKEN_TIMEOUT, ProxyFor, Service, directly
from sidecars.chassis.runtime import file_io, scrubber

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
_IMPERSONATION = "https://www.googleapis.com/auth/iam"  # all that a token for an impersonation has to be good for
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind
_NAME = "GOOGLE_APPLICATION_CREDENTIALS"
_STS, _IAM = "Google's token service", "Google's IAM"


@dataclass(frozen=True, slots=True)
class Federation:
    """The content of the file."""

    audience: str
    subject_token_type: str
    token_url: str
    token_file: str
    token_member: str  # of a token file in JSON; "" if the file is the token
    impersonation_url: str  # "" for none
    lifetime: int  # seconds of an impersonated token


def parse(text: str) -> Federation:
    """Return the content of the file, of this text. Raises ValueError with a clause about the file."""
    found = json_object(text.encode())
    if found is None or found.get("type") != "external_account":
        raise ValueError('its "type" is not external_account, the only one that is supported')
    source = found.get("credential_source")
    if not isinstance(source, dict) or not isinstance(source.get("file"), str):
        raise ValueError('its "credential_source" has no "file", the only source that is known')  # noqa: TRY004 - of a text
    form = source.get("format", {})
    is_json = isinstance(form, dict) and form.get("type", "text") == "json"
    member = form.get("subject_token_field_name") if is_json else ""
    texts = [found.get(name) for name in ("audience", "subject_token_type", "token_url")]
    impersonation = found.get("service_account_impersonation_url", "")
    options = found.get("service_account_impersonation")
    lifetime = options.get("token_lifetime_seconds", 3600) if isinstance(options, dict) else 3600
    if not all(isinstance(one, str) for one in (*texts, member, impersonation)) or not isinstance(lifetime, int):
        raise ValueError('it lacks "audience", "subject_token_type" or "token_url", or has a value of another kind')
    audience, kind, token_url = map(str, texts)
    for name, place in (("token_url", token_url), ("service_account_impersonation_url", impersonation)):
        if place or name == "token_url":
            _check_place(name, place)
    return Federation(audience, kind, token_url, source["file"], str(member), str(impersonation), lifetime)


def _check_place(name: str, place: str) -> None:
    try:
        parts = urlsplit(place)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        is_plain = bool(parts.hostname) and "@" not in parts.netloc and can_be_a_value(place) and " " not in place
        is_safe = is_safe and is_plain and parts.port != 0
    except ValueError:
        is_safe = False
    if not is_safe:
        raise ValueError(f'its "{name}" is no https:// URL')


def read(path: Path) -> Federation:
    """Return the content of the file. Raises ValueError with a clause about it."""
    try:
        text = file_io.read_text(str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ValueError(f"it cannot be read: {why} ({path})") from None
    return parse(text)


def problem(path: Path, audience: str) -> str:
    """Return a clause about the fault of the file; "" if it can be used. `audience`: of an ID token, or ""."""
    try:
        found = read(path)
    except ValueError as error:
        return str(error)
    if audience and not found.impersonation_url:
        return "an ID token (AUTH_AUDIENCE) needs a service_account_impersonation_url"
    return ""


def problems(settings: TokenServiceSettings, audience: str) -> Iterator[str]:
    """Yield a sentence if there is such a file, and it cannot be used. `audience`: of an ID token, or ""."""
    if settings.google_application_credentials is not None:
        clause = problem(settings.google_application_credentials, audience)
        if clause:
            yield f"{_NAME}: {clause}"


def token_file(path: Path) -> str:
    """Return the path of the token that the file names; "" if it cannot be used."""
    try:
        return read(path).token_file
    except ValueError:
        return ""


class FederatedToken:
    """The service of one file. `clock`: seconds since 1970. `proxy_for`: of the services that the file names."""

    def __init__(
        self,
        path: Path,
        tls: ReloadingContext,
        scopes: str = "",
        audience: str = "",
        clock: Callable[[], float] = time.time,
        proxy_for: ProxyFor = directly,
    ) -> None:
        self._path, self._tls, self._audience, self._clock = path, tls, audience, clock
        self._proxy_for = proxy_for
        self._scopes = scopes or CLOUD_PLATFORM

    async def fetch(self, now: float) -> AccessToken:
        try:
            found = read(self._path)
        except ValueError as error:
            raise NoCredentials(f"the file of {_NAME} cannot be used: {error}") from None
        scope = _IMPERSONATION if found.impersonation_url else self._scopes
        form = {
            "grant_type": _GRANT,
            "audience": found.audience,
            "scope": scope,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token": self._subject(found),
            "subject_token_type": found.subject_token_type,
        }
        service = self._service(found.token_url)
        response = await service.ask("POST", _target(service), [FORM, JSON], urlencode(form).encode())
        federated = parse_token(response.status, response.body, _STS, now)
        if not found.impersonation_url:
            return federated
        scrubber.hide(found, [federated.text])
        return await self._impersonate(found, federated, now)

    def _service(self, text: str) -> Service:
        url = Url(urlsplit(text))
        proxy = self._proxy_for(url.scheme, url.hostname, url.port or DEFAULT_PORTS[url.scheme])
        return Service(url, TOKEN_TIMEOUT, self._tls, proxy)

    def _subject(self, found: Federation) -> str:
        path = Path(found.token_file)
        if not found.token_member:
            return read_token(self, path, f"{_NAME} (its credential_source)")
        try:
            token = (json_object(file_io.read_text(str(path)).encode()) or {}).get(found.token_member)
        except (OSError, UnicodeDecodeError):
            token = None
        if not isinstance(token, str) or not token or not can_be_a_value(token):
            raise NoCredentials(f"the credential_source of {_NAME} has no token")
        scrubber.hide(self, [token])
        return token

    async def _impersonate(self, found: Federation, federated: AccessToken, now: float) -> AccessToken:
        """Return a token of the service account, for the federated one."""
        url, member = found.impersonation_url, "accessToken"
        asked: dict[str, object] = {"scope": self._scopes.split(), "lifetime": f"{found.lifetime}s"}
        if self._audience:
            url, member = url.removesuffix(":generateAccessToken") + ":generateIdToken", "token"
            asked = {"audience": self._audience, "includeEmail": True}
        service = self._service(url)
        fields = [("Authorization", f"Bearer {federated.text}"), ("Content-Type", "application/json"), JSON]
        response = await service.ask("POST", _target(service), fields, json.dumps(asked).encode())
        answer, ahead = json_object(response.body) or {}, service_clock.of(response.headers, self._clock())
        if response.status != 200 or not isinstance(answer.get(member), str):
            return parse_token(response.status, response.body, _IAM, now)  # raises, with the reason
        if self._audience:
            return parse_id_token(200, answer[member].encode("utf-8", "replace"), _IAM, now, self._clock() + ahead)
        body = json.dumps({"access_token": answer[member]}).encode()
        return parse_token(200, body, _IAM, now, self._seconds_until(answer.get("expireTime"), ahead))

    def _seconds_until(self, text: object, ahead: float) -> float | None:
        try:
            ends = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None
        return None if ends is None or ends.tzinfo is None else ends.timestamp() - self._clock() - ahead


def _target(service: Service) -> str:
    return service.url.target.reveal() or "/"
