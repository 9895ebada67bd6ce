"""The variables of the SDKs of AWS, Azure and Google Cloud, which have their own names, not ours.

EKS, ECS and the webhooks of AKS inject them into containers. They have a meaning only for who needs credentials of that
cloud: a sink or an upstream with such an authentication. The ambassador disregards them if no upstream has one.
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from sidecars.chassis.config.setting_types import Secret, SettingType, path_to_read, secret, text
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.config.urls import Url, is_loopback, split_url, url
from sidecars.chassis.runtime.light_dataclasses import dataclass

_RELATIVE = "http://169.254.170.2"  # of ECS
_AGENTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class AwsSettings(ServiceSettings):
    """The settings for AWS, which all of the process share."""

    PREFIX: ClassVar[str]

    aws_region: str | None = setting(
        text, "AWS: the region, if no setting of the sidecar has one", env="AWS_REGION", default=""
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
    aws_container_credentials_full_uri: Url | None = setting(
        url("http", "https"),
        "AWS: address of a container's credentials (EKS Pod Identity)",
        env="AWS_CONTAINER_CREDENTIALS_FULL_URI",
        default="",
    )
    aws_container_credentials_relative_uri: Secret | None = setting(
        secret,
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

    Azure's webhook injects the first four.
    """

    PREFIX: ClassVar[str]

    azure_client_id: str | None = setting(text, "Azure: the identity's client id", env="AZURE_CLIENT_ID", default="")
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


def region_of(settings: AwsSettings, own: str | None) -> str:
    """Return the region to use; `own` is that of the sidecar's own settings."""
    return own or settings.aws_region or settings.aws_default_region or _DEFAULT_REGION


def container_url(settings: AwsSettings) -> Url | None:
    """Return the address of a container's credentials; None if there is none."""
    relative = settings.aws_container_credentials_relative_uri
    if relative is not None:
        return Url(urlsplit(_RELATIVE + relative.reveal()))
    return settings.aws_container_credentials_full_uri


def is_trusted_without_tls(url: Url) -> bool:
    """Return True if a token may be sent there over plain HTTP: this host, and the agents of ECS and EKS."""
    return is_loopback(url.hostname) or url.hostname in _AGENTS


def china(region: str) -> str:
    """Return what follows `amazonaws.com` in host names of the region."""
    return ".cn" if region.startswith("cn-") else ""
