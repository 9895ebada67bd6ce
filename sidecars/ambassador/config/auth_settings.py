"""The settings of who this process is for an upstream's endpoints: a signature, or a token, in each request.

`auth_checks` has their checks, and is loaded only where one of them is set. The names are those of the
logshipper, with `AUTH` for `SINK`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from sidecars.ambassador.config.setting_types import HTTP
from sidecars.chassis.config import cloud_settings
from sidecars.chassis.config.declared_fields import Beside, gives_way, one_of
from sidecars.chassis.config.setting_types import HIDDEN, Secret, SettingType, choice, pairs, path_to_read, secret, text
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.config.urls import Url, is_loopback, url
from sidecars.chassis.runtime import light_dataclasses
from sidecars.chassis.runtime.light_dataclasses import dataclass

NO_AUTH, AWS, GCP, AZURE, OAUTH2 = "off", "aws", "gcp", "azure", "oauth2"
_TOKEN_FIELDS = (b"authorization",)
_SIGNATURE_FIELDS = (
    b"authorization",
    b"x-amz-content-sha256",
    b"x-amz-date",
    b"x-amz-decoded-content-length",
    b"x-amz-security-token",
)
_AWS = one_of("auth", AWS)
_KEYS = one_of("auth", AWS, OAUTH2)
_AUDIENCE = one_of("auth", GCP, OAUTH2)
_SCOPE = one_of("auth", GCP, AZURE, OAUTH2)
_OAUTH = one_of("auth", OAUTH2)
_hidden = SettingType("text", text.parse, lambda _: HIDDEN, sensitive=True)  # some servers want a secret among them


def _encrypted(upstream: Any, _of: Beside) -> str:
    """Return why a token of a cloud would cross a network without encryption; "" if it would not."""
    for target in upstream.upstream.targets if upstream.auth in (GCP, AZURE) else ():
        if not target.tls and not is_loopback(target.host):
            return f"its token would be sent to {target.host_port} without encryption: use https://"
    return ""


def _beside_headers(upstream: Any, of: Beside) -> str:
    """Return why it gives way: it is a default for all, and the upstream's own HEADERS set the field that it sets."""
    if of.is_own("headers") and not of.is_own("auth"):
        for edit in upstream.headers:
            if edit.sign != "-" and edit.name.lower().encode() in upstream.replaced_fields:
                return f"{edit.name} in {of('headers')} is set in its place"
    return ""


@dataclass(frozen=True, kw_only=True)
class AuthSettings:
    """The part of the settings of one upstream that is about who its clients are."""

    token: Secret | None = setting(
        secret,
        "a bearer token, sent instead of the app's `Authorization`; `TOKEN_FILE` is read again every second",
        default="",
        needs=(HTTP, gives_way("token", "auth")),
        heading="Credentials for the upstream",
    )
    auth: str = setting(
        choice(NO_AUTH, AWS, GCP, AZURE, OAUTH2),
        "what proves to the upstream who sends a request, instead of the app's `Authorization`: an AWS signature "
        "(version 4), a token of Google Cloud or Azure, or a token of `AUTH_OAUTH_TOKEN_URL`; renewed before it ends",
        default=NO_AUTH,
        needs=(HTTP, _encrypted, gives_way("auth", "token"), _beside_headers),
    )
    auth_aws_service: str | None = setting(
        text,
        "`AUTH=aws`: the service that signatures are for, such as `s3` or `execute-api`; unset: by the host in "
        "`UPSTREAM`, if it is one of AWS's",
        default="",
        needs=(_AWS,),
    )
    auth_aws_region: str | None = setting(
        text,
        "`AUTH=aws`: the region that signatures are for; unset: by the host in `UPSTREAM`, else `AWS_REGION`",
        default="",
        needs=(_AWS,),
    )
    auth_aws_payload: str = setting(
        choice("auto", "signed", "unsigned"),
        "`AUTH=aws`: what is signed of a body: `auto` (its hash; of one that streams to S3 over TLS nothing), `signed` "
        "(always: one that streams to S3 goes in signed chunks) or `unsigned`; a body that must be signed whole is "
        "held, up to `RETRY_BUFFER`",
        default="auto",
        needs=(_AWS,),
    )
    auth_username: str | None = setting(
        text,
        "`AUTH=aws`: the access key, instead of those of the environment; `AUTH=oauth2`: the client's id",
        default="",
        needs=(_KEYS,),
    )
    auth_password: Secret | None = setting(
        secret,
        "`AUTH=aws`: the secret key of `AUTH_USERNAME`; `AUTH=oauth2`: the client's secret",
        default="",
        needs=(_KEYS,),
    )
    auth_session_token: Secret | None = setting(
        secret,
        "`AUTH=aws`: the session token of `AUTH_USERNAME`, if it is a temporary key",
        default="",
        needs=(_AWS,),
    )
    auth_audience: str | None = setting(
        text,
        "`AUTH=gcp`: the audience of an ID token, such as the URL of a service of Cloud Run, instead of an access "
        "token; `AUTH=oauth2`: the parameter `audience`",
        default="",
        needs=(_AUDIENCE,),
    )
    auth_oauth_scope: str | None = setting(
        text,
        "`AUTH=gcp`, `azure` or `oauth2`: the scopes to ask for, separated by blanks; Azure: one, such as "
        "`https://storage.azure.com/.default`",
        default="",
        needs=(_SCOPE,),
        heading="Credentials for the upstream: scope and OAuth",
    )
    auth_oauth_token_url: Url | None = setting(
        url("https", "http"),
        "`AUTH=oauth2`: the token endpoint (client credentials)",
        default="",
        needs=(_OAUTH,),
    )
    auth_oauth_client: str = cloud_settings.oauth_client("AUTH", needs=(_OAUTH,))
    auth_oauth_key: Path | None = cloud_settings.oauth_key("AUTH", needs=(_OAUTH,))
    auth_oauth_key_id: str | None = cloud_settings.oauth_key_id("AUTH", needs=(_OAUTH,))
    auth_oauth_key_audience: str | None = cloud_settings.oauth_key_audience("AUTH", needs=(_OAUTH,))
    auth_oauth_params: dict[str, str] | None = setting(
        pairs(right=_hidden),
        "`AUTH=oauth2`: further parameters for the token endpoint, such as `resource=…`",
        default="",
        needs=(_OAUTH,),
    )
    auth_oauth_ca: Path | None = setting(
        path_to_read,
        "`AUTH=oauth2`: PEM file of the authorities to trust at the token endpoint, instead of the system's; a new "
        "file is used as soon as it is there",
        default="",
        needs=(_OAUTH,),
    )

    @property
    def has_auth(self) -> bool:
        """True if one of these settings is set, beside TOKEN."""
        texts = (
            self.auth_aws_service,
            self.auth_aws_region,
            self.auth_username,
            self.auth_password,
            self.auth_session_token,
            self.auth_audience,
            self.auth_oauth_scope,
            self.auth_oauth_token_url,
            self.auth_oauth_key,
            self.auth_oauth_key_id,
            self.auth_oauth_key_audience,
            self.auth_oauth_params,
            self.auth_oauth_ca,
        )
        words = (self.auth, self.auth_aws_payload, self.auth_oauth_client)
        return words != (NO_AUTH, "auto", cloud_settings.BASIC) or any(one is not None for one in texts)

    @property
    def replaced_fields(self) -> tuple[bytes, ...]:
        """The names of the app's fields, in lower case, that credentials of ours take the place of."""
        if self.auth == AWS:
            return _SIGNATURE_FIELDS
        return _TOKEN_FIELDS if self.token is not None or self.auth != NO_AUTH else ()


@dataclass(frozen=True, kw_only=True)
class CloudSettings(cloud_settings.CloudSettings):
    """The settings of the process for all upstreams with AUTH."""

    PREFIX: ClassVar[str]

    @classmethod
    def disregarded(cls, environ: Mapping[str, str]) -> Collection[str]:
        """Return their names if no upstream has AUTH: then they are for the app alone."""
        for name, value in environ.items():
            if (
                name.startswith(f"{cls.PREFIX}_")
                and name.endswith(("_AUTH", "_AUTH_FILE"))
                and value not in ("", NO_AUTH)
            ):
                return ()
        ours = {item.name for item in light_dataclasses.fields(ServiceSettings)}
        names = [item.metadata["env"] for item in light_dataclasses.fields(CloudSettings) if item.name not in ours]
        return {*names, *(f"{name}_FILE" for name in names)}
