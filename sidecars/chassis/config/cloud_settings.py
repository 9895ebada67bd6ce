"""The settings of identity that all sidecars have in common: variables of the clouds' SDKs, and a client of OAuth 2.0.

The variables of the SDKs of AWS, Azure and Google Cloud have their own names, not ours.

EKS, ECS and the webhooks of AKS inject them into containers. They have a meaning only for who needs credentials of that
cloud: a sink or an upstream with such an authentication. The ambassador disregards them if no upstream has one.
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from sidecars.chassis.config.setting_types import Secret, SettingType, choice, path_to_read, secret, text
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.config.urls import Url, is_loopback, split_url, url
from sidecars.chassis.runtime.light_dataclasses import dataclass

if TYPE_CHECKING:
    from sidecars.chassis.config.declared_fields import Need

_RELATIVE = "http://169.254.170.2"  # of ECS
_AGENTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")
_DEFAULT_REGION = "us-east-1"


_secret_path = SettingType("secret path", secret.parse, secret.show, secret=True)


@dataclass(frozen=True, kw_only=True)
class AwsSettings(ServiceSettings):
    """The settings for AWS, which all of the process share."""

    PREFIX: ClassVar[str]

    aws_region: str | None = setting(
        text,
        "AWS: the region, if no setting of the sidecar has one",
        env="AWS_REGION",
        default="",
        heading="Identity at AWS (variables of its SDKs)",
    )
    aws_default_region: str | None = setting(
        text, "AWS: the region if `AWS_REGION` is not set", env="AWS_DEFAULT_REGION", default=""
    )
    aws_access_key_id: str | None = setting(
        text, "AWS: the access key, if no setting of the sidecar has one", env="AWS_ACCESS_KEY_ID", default=""
    )
    aws_secret_access_key: Secret | None = setting(
        secret, "AWS: the secret key of `AWS_ACCESS_KEY_ID`", env="AWS_SECRET_ACCESS_KEY", default=""
    )
    aws_session_token: Secret | None = setting(
        secret,
        "AWS: the session token of `AWS_ACCESS_KEY_ID`, if it is a temporary key",
        env="AWS_SESSION_TOKEN",
        default="",
    )
    aws_role_arn: str | None = setting(
        text, "AWS: the role to assume with `AWS_WEB_IDENTITY_TOKEN_FILE` (EKS: IRSA)", env="AWS_ROLE_ARN", default=""
    )
    aws_role_session_name: str | None = setting(
        text,
        "AWS: the session's name in the audit log; unset: the sidecar's and the Pod's name",
        env="AWS_ROLE_SESSION_NAME",
        default="",
    )
    aws_web_identity_token_file: Path | None = setting(
        path_to_read,
        "AWS: file with the token of the Pod's service account, read anew for each session",
        env="AWS_WEB_IDENTITY_TOKEN_FILE",
        default="",
    )
    aws_endpoint_url_sts: Url | None = setting(
        url("http", "https"), "AWS: address of STS; unset: that of the region", env="AWS_ENDPOINT_URL_STS", default=""
    )
    aws_shared_credentials_file: Path | None = setting(
        path_to_read,
        "AWS: file of profiles with keys, read again at each use, or every second",
        env="AWS_SHARED_CREDENTIALS_FILE",
        default="",
    )
    aws_profile: str | None = setting(
        text, "AWS: the profile in `AWS_SHARED_CREDENTIALS_FILE`; unset: `default`", env="AWS_PROFILE", default=""
    )
    aws_container_credentials_full_uri: Url | None = setting(
        url("http", "https"),
        "AWS: address of a container's credentials (EKS Pod Identity)",
        env="AWS_CONTAINER_CREDENTIALS_FULL_URI",
        default="",
    )
    aws_container_credentials_relative_uri: Secret | None = setting(
        _secret_path,
        "AWS: path of a container's credentials at 169.254.170.2 (ECS)",
        env="AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        default="",
    )
    aws_container_authorization_token: Secret | None = setting(
        secret,
        "AWS: token for the container's credentials",
        env="AWS_CONTAINER_AUTHORIZATION_TOKEN",
        default="",
    )
    aws_container_authorization_token_file: Path | None = setting(
        path_to_read,
        "AWS: file with the token for the container's credentials, read anew each time",
        env="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        default="",
    )
    aws_ec2_metadata_service_endpoint: Url | None = setting(
        url("http", "https"),
        "AWS: address of the instance's metadata service; unset: 169.254.169.254",
        env="AWS_EC2_METADATA_SERVICE_ENDPOINT",
        default="",
    )


def _parse_metadata_host(raw: str) -> str:
    split_url(f"http://{raw}", ("http",))
    if "/" in raw or "@" in raw:
        raise ValueError("expected host or host:port")
    return raw


_metadata_host = SettingType("host:port", _parse_metadata_host)


@dataclass(frozen=True, kw_only=True)
class TokenServiceSettings(ServiceSettings):
    """The settings for the services of Azure and Google Cloud that give tokens.

    Azure's webhook injects the first four, App Service those of its endpoint.
    """

    PREFIX: ClassVar[str]

    azure_client_id: str | None = setting(
        text,
        "Azure: the identity's client id",
        env="AZURE_CLIENT_ID",
        default="",
        heading="Identity at Azure and Google Cloud (variables of their SDKs)",
    )
    azure_tenant_id: str | None = setting(text, "Azure: the tenant", env="AZURE_TENANT_ID", default="")
    azure_federated_token_file: Path | None = setting(
        path_to_read,
        "Azure: file with the Pod's token (workload identity); unset: the node's managed identity",
        env="AZURE_FEDERATED_TOKEN_FILE",
        default="",
    )
    azure_authority_host: Url | None = setting(
        url("https", "http"),
        "Azure: address of Entra ID; unset: `https://login.microsoftonline.com/`",
        env="AZURE_AUTHORITY_HOST",
        default="",
    )
    azure_pod_identity_authority_host: Url | None = setting(
        url("http", "https"),
        "Azure: address of the metadata service; unset: `http://169.254.169.254`",
        env="AZURE_POD_IDENTITY_AUTHORITY_HOST",
        default="",
    )
    gce_metadata_host: str | None = setting(
        _metadata_host,
        "Google Cloud: host, and port, of the metadata server; unset: `metadata.google.internal`",
        env="GCE_METADATA_HOST",
        default="",
    )
    google_application_credentials: Path | None = setting(
        path_to_read,
        "Google Cloud: file of workload identity federation (`external_account`); unset: the metadata server",
        env="GOOGLE_APPLICATION_CREDENTIALS",
        default="",
    )
    azure_app_service_endpoint: Url | None = setting(
        url("http", "https"),
        "Azure: address of the managed identity of App Service, Functions and Container Apps, which inject it",
        env="IDENTITY_ENDPOINT",
        default="",
    )
    azure_app_service_header: Secret | None = setting(
        secret, "Azure: the value of `X-IDENTITY-HEADER` for `IDENTITY_ENDPOINT`", env="IDENTITY_HEADER", default=""
    )


@dataclass(frozen=True, kw_only=True)
class CloudSettings(AwsSettings, TokenServiceSettings):
    """The settings of the process for all that is signed, or gets a token, by the names that the clouds give them."""

    PREFIX: ClassVar[str]


# -- a client of OAuth 2.0 -----------------------------------------------------------------------------------------

BASIC, POST, PRIVATE_KEY = "basic", "post", "private_key_jwt"
"""How a client proves to a token endpoint who it is: `identity.oauth.oauth_client` has them."""


def oauth_client(prefix: str, needs: tuple[Need, ...] = ()) -> Any:
    """Return the setting `<prefix>_OAUTH_CLIENT`, of which each sidecar has one for each client."""
    return setting(
        choice(BASIC, POST, PRIVATE_KEY),
        f"`{prefix}_AUTH=oauth2`: how the client proves who it is: `basic` (its secret, in `Authorization`), `post` "
        f"(in the form) or `private_key_jwt` (a signature with `{prefix}_OAUTH_KEY`)".replace("AUTH_AUTH", "AUTH"),
        default=BASIC,
        needs=needs,
    )


def oauth_key(prefix: str, needs: tuple[Need, ...] = ()) -> Any:
    return setting(
        path_to_read,
        f"`{prefix}_OAUTH_CLIENT=private_key_jwt`: PEM file of the client's private key, RSA or EC (P-256, P-384), "
        "without a password; a new file is used for the next token",
        default="",
        needs=needs,
    )


def oauth_key_id(prefix: str, needs: tuple[Need, ...] = ()) -> Any:
    return setting(
        text, f"`{prefix}_OAUTH_KEY`: the name that the token endpoint has for it (`kid`)", default="", needs=needs
    )


def oauth_key_audience(prefix: str, needs: tuple[Need, ...] = ()) -> Any:
    return setting(
        text,
        f"`{prefix}_OAUTH_KEY`: the audience of what is signed (`aud`), such as the issuer; unset: the token endpoint",
        default="",
        needs=needs,
    )


FIELDS_OF_CLIENT = ("oauth_client", "oauth_key", "oauth_key_id", "oauth_key_audience", "password")
"""The settings that prove who a client is, by their names behind `auth_` or `sink_`."""


def client_problems(values: Mapping[str, Any], of: Callable[[str], str]) -> Iterator[str]:
    """Yield a sentence for each setting of a client's proof that is missing, or has no use.

    `values`: those of FIELDS_OF_CLIENT. `of` returns the variable of one.
    """
    method = f"{of('oauth_client')}={values['oauth_client']}"
    has_key = values["oauth_client"] == PRIVATE_KEY
    needed, useless = ("oauth_key", "password") if has_key else ("password", "oauth_key")
    if values[needed] is None:
        yield f"{method}, but {of(needed)} is not set"
    if values[useless] is not None:
        yield f"{of(useless)} is set, but {method} has no use for it: unset it, or change {of('oauth_client')}"
    for field in ("oauth_key_id", "oauth_key_audience"):
        if values[field] is not None and not has_key:
            yield f"{of(field)} is set, but {method} has no use for it: it is for {PRIVATE_KEY}"


def region_of(settings: AwsSettings, own: str | None) -> str:
    """Return the region to use; `own` is that of the sidecar's own settings."""
    return own or settings.aws_region or settings.aws_default_region or _DEFAULT_REGION


def container_url(settings: AwsSettings) -> Url | None:
    """Return the address of a container's credentials; None if there is none."""
    relative = settings.aws_container_credentials_relative_uri
    if relative is not None:
        return Url(urlsplit(_RELATIVE + relative.reveal()))
    return settings.aws_container_credentials_full_uri


def container_problems(settings: AwsSettings) -> Iterator[str]:
    """Yield a sentence if the token for a container's credentials would be sent in clear."""
    found = container_url(settings)
    if found is not None and found.scheme == "http" and not is_trusted_without_tls(found):
        yield (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI would send its token without encryption: expected https, loopback, "
            "169.254.170.2, 169.254.170.23 or fd00:ec2::23"
        )


def azure_problems(settings: TokenServiceSettings, auth: str) -> Iterator[str]:
    """Yield a sentence for each variable of Azure that is missing. `auth`: the setting that asks, with its value."""
    if settings.azure_federated_token_file is not None:
        needed = {"AZURE_CLIENT_ID": settings.azure_client_id, "AZURE_TENANT_ID": settings.azure_tenant_id}
        for name, value in needed.items():
            if value is None:
                yield f"{auth} with AZURE_FEDERATED_TOKEN_FILE, but {name} is not set"
    elif settings.azure_app_service_endpoint is not None and settings.azure_app_service_header is None:
        yield f"{auth} with IDENTITY_ENDPOINT, but IDENTITY_HEADER is not set"


def is_trusted_without_tls(url: Url) -> bool:
    """Return True if a token may be sent there over plain HTTP: this host, and the agents of ECS and EKS."""
    return is_loopback(url.hostname) or url.hostname in _AGENTS


def china(region: str) -> str:
    """Return the end of host names of the region, behind `amazonaws.com`."""
    return ".cn" if region.startswith("cn-") else ""
