"""The places from which AWS credentials come, in the order of AWS's SDKs. The first that is configured is the one.

| place | chosen by | how |
|---|---|---|
| own settings of the sidecar | their names are its own | as they are |
| the environment | AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY | as they are |
| a web identity (IRSA) | AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE | AssumeRoleWithWebIdentity of STS |
| a file of profiles | AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE | keys of the profile, which have no end |
| a container (EKS Pod Identity, ECS) | AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI | GET with a token |
| the instance | nothing else is | IMDSv2: PUT for a token, GET for the role and its credentials |

Token files are read anew each time, since the kubelet replaces them. The services on link-local addresses are asked
directly, never through a proxy.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

from sidecars.chassis.config.cloud_settings import AwsSettings, china, container_url
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.answers import NoCredentials, read_token
from sidecars.chassis.identity.aws_answers import UnusableAnswer, keys_of_metadata, keys_of_sts
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.identity.local_keys import LocalSource, ProfileSource
from sidecars.chassis.identity.service import Headers, ProxyFor, Service
from sidecars.chassis.runtime import scrubber

_STS_VERSION = "2011-06-15"
_STS_TIMEOUT = 10.0  # seconds of a request
_CONTAINER_TIMEOUT = 5.0
_INSTANCE_TIMEOUT, _INSTANCE_TRIES = 1.0, 3  # a hop limit of 1 lets a request of a Pod hang, see `InstanceSource`
_INSTANCE = "http://169.254.169.254"
_TOKEN_SECONDS = "21600"  # noqa: S105 - for which a token of the instance's service is valid
_ROLE = re.compile(r"[\w+=,.@/-]{1,128}", re.ASCII)
_NOT_IN_A_SESSION = re.compile(r"[^\w+=,.@-]+", re.ASCII)


class Source(Protocol):
    """One place of credentials. `name` says in words which one."""

    name: str

    async def fetch(self) -> AwsKeys:
        """Return the credentials of now. Raises NoCredentials with a sentence."""


class StaticSource(LocalSource):
    """Keys from settings."""

    def __init__(self, name: str, access: str, secret: Secret, token: Secret | None = None) -> None:
        self.name = name
        self._access, self._secret, self._token = access, secret, token

    def read(self) -> AwsKeys:
        try:
            token = self._token.reveal() if self._token else None
            return AwsKeys(self._access, self._secret.reveal(), token)
        except (OSError, UnicodeDecodeError):
            raise NoCredentials(f"the file of {self.name} cannot be read") from None


class WebIdentitySource:
    """AssumeRoleWithWebIdentity of STS, with the token of a service account (IRSA)."""

    name = "AWS_WEB_IDENTITY_TOKEN_FILE"

    def __init__(self, service: Service, role: str, token_file: Path, session: str) -> None:
        self._service, self._role, self._token_file, self._session = service, role, token_file, session

    async def fetch(self) -> AwsKeys:
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": _STS_VERSION,
            "RoleArn": self._role,
            "RoleSessionName": self._session,
            "WebIdentityToken": read_token(self, self._token_file, self.name),
        }
        fields = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), ("Accept", "application/xml")]
        response = await self._service.ask("POST", "/", fields, urlencode(form).encode())
        try:
            return keys_of_sts(response.status, response.body, service_clock.of(response.headers, time.time()))
        except UnusableAnswer as answer:
            raise NoCredentials(f"STS gives no credentials for AWS_ROLE_ARN: {answer.reason}") from None


class ContainerSource:
    """The credentials of a container: the agent of EKS Pod Identity, or ECS."""

    name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

    def __init__(self, settings: AwsSettings, url: Url, tls: ReloadingContext | None) -> None:
        self._target = url.target.reveal() or "/"
        self._service = Service(url, _CONTAINER_TIMEOUT, tls)
        self._token = settings.aws_container_authorization_token
        self._token_file = settings.aws_container_authorization_token_file

    async def fetch(self) -> AwsKeys:
        response = await self._service.ask("GET", self._target, self._fields())
        try:
            return keys_of_metadata(response.status, response.body, service_clock.of(response.headers, time.time()))
        except UnusableAnswer as answer:
            raise NoCredentials(f"the container's credential service gives none: {answer.reason}") from None

    def _fields(self) -> Headers:
        if self._token_file is not None:
            return [("Authorization", read_token(self, self._token_file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))]
        return [("Authorization", self._token.reveal().strip())] if self._token is not None else []


class InstanceSource:
    """The metadata service of an EC2 instance, version 2.

    Its answers to PUT have a hop limit (TTL), which is 1 unless the instance was made with 2. A Pod that has no host
    network is one hop further away: the answer never arrives there, and the request hangs. So each try has a second.
    """

    name = "the instance's metadata service"

    def __init__(self, settings: AwsSettings, elsewhere: str) -> None:
        """`elsewhere`: what to set where there is no instance, for a message."""
        self._elsewhere = elsewhere
        url = settings.aws_ec2_metadata_service_endpoint or Url(urlsplit(_INSTANCE))
        self._service = Service(url, _INSTANCE_TIMEOUT)

    async def fetch(self) -> AwsKeys:
        headers = [("X-aws-ec2-metadata-token", await self._session_token())]
        path = "/latest/meta-data/iam/security-credentials/"
        listed = await self._get(path, headers)
        role = listed.body.decode("utf-8", "replace").partition("\n")[0].strip()
        if listed.status != 200 or not _ROLE.fullmatch(role):
            raise NoCredentials(f"no credentials: {self.name} knows no role: does the instance have a profile?")
        found = await self._get(path + quote(role), headers)
        try:
            return keys_of_metadata(found.status, found.body, service_clock.of(found.headers, time.time()))
        except UnusableAnswer as answer:
            raise NoCredentials(f"{self.name} gives no credentials: {answer.reason}") from None

    async def _session_token(self) -> str:
        reason = ""
        for _ in range(_INSTANCE_TRIES):
            fields = [("X-aws-ec2-metadata-token-ttl-seconds", _TOKEN_SECONDS)]
            try:
                response = await self._service.ask("PUT", "/latest/api/token", fields)
            except NoCredentials as error:
                reason = error.reason
                continue
            token = response.body.decode("latin-1").strip()
            if response.status == 200 and token and can_be_a_value(token):
                scrubber.hide(self, [token])
                return token
            reason = f"it answered with {response.status} to the request for a token"
        raise NoCredentials(
            f"no credentials are set, and {self.name} does not give any ({reason}). In a Pod on EC2 its hop limit must "
            f"be 2 (HttpPutResponseHopLimit); better are IRSA or EKS Pod Identity; elsewhere set {self._elsewhere}"
        )

    async def _get(self, path: str, fields: Headers) -> ClientResponse:
        for left in reversed(range(_INSTANCE_TRIES)):
            try:
                return await self._service.ask("GET", path, fields)
            except NoCredentials:
                if not left:
                    raise
        raise AssertionError("unreachable")


def choose(  # noqa: PLR0913 - one question to all that is set
    settings: AwsSettings,
    own: StaticSource | None,
    region: str,
    tls: ReloadingContext | None,
    proxy_for: ProxyFor,
    *,
    session: str,
    elsewhere: str,
) -> Source:
    """Return the place that the settings choose. `own`: the keys of the sidecar's own settings, if there are any.

    `proxy_for` returns the proxy for a scheme, host and port. STS alone is asked through one. `session`: the name of a
    session of a role. `elsewhere`: what to set outside of AWS.
    """
    if own is not None:
        return own
    if settings.aws_access_key_id and settings.aws_secret_access_key is not None:
        secret, token = settings.aws_secret_access_key, settings.aws_session_token
        return StaticSource("AWS_SECRET_ACCESS_KEY", settings.aws_access_key_id, secret, token)
    if settings.aws_role_arn and settings.aws_web_identity_token_file is not None:
        url = settings.aws_endpoint_url_sts or Url(urlsplit(f"https://sts.{region}.amazonaws.com{china(region)}"))
        proxy = proxy_for(url.scheme, url.hostname, url.port or DEFAULT_PORTS[url.scheme])
        service = Service(url, _STS_TIMEOUT, tls, proxy)
        return WebIdentitySource(service, settings.aws_role_arn, settings.aws_web_identity_token_file, session)
    if settings.aws_shared_credentials_file is not None:
        return ProfileSource(settings.aws_shared_credentials_file, settings.aws_profile or "default")
    if (found := container_url(settings)) is not None:
        return ContainerSource(settings, found, tls)
    return InstanceSource(settings, elsewhere)


def session_name(chosen: str | None, program: str, pod: str | None) -> str:
    """Return the name of a session of a role: 2 to 64 of the characters that STS allows."""
    return _NOT_IN_A_SESSION.sub("-", chosen or (f"{program}-{pod}" if pod else program))[:64].ljust(2, "-")
