"""Contradictions in the settings of identity, and the services that host names of AWS stand for."""

from __future__ import annotations

import pytest

from sidecars.ambassador.config.identity.aws_hosts import service_and_region
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import SettingsError, load, specs

OAUTH2 = {"AUTH": "oauth2", "AUTH_OAUTH_TOKEN_URL": "https://login/token", "AUTH_USERNAME": "shop"}
BY_KEY = {"AUTH_OAUTH_CLIENT": "private_key_jwt"}
AWS = {"AUTH": "aws", "AUTH_AWS_SERVICE": "s3", "AUTH_AWS_REGION": "eu-central-1"}


def loaded(environ: dict[str, str]) -> Settings:
    settings = {"UPSTREAM": "https://orders", **environ}
    return load(
        Settings,
        {
            name if name.startswith(("AWS_", "AZURE_", "IDENTITY_")) else f"AMBASSADOR_{name}": each
            for name, each in settings.items()
        },
    )


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"AUTH": "gcp", "TOKEN": "abc"}, "AMBASSADOR_TOKEN are set, and a request has one Authorization"),
        ({"AUTH": "gcp", "HEADERS": "Authorization: a"}, "Authorization in AMBASSADOR_HEADERS are set"),
        ({"AUTH": "gcp", "UPSTREAM": "http://orders"}, "its token would be sent to orders:80 without encryption"),
        ({"AUTH": "gcp", "UPSTREAM": "tls://orders:1"}, "is not HTTP"),
        ({"AUTH": "aws"}, "AMBASSADOR_AUTH_AWS_SERVICE is not set"),
        ({"AUTH": "aws", "AUTH_AWS_SERVICE": "s3"}, "AMBASSADOR_AUTH_AWS_REGION is not set"),
        ({"AUTH": "oauth2"}, "AMBASSADOR_AUTH_OAUTH_TOKEN_URL is not set"),
        (OAUTH2, "AMBASSADOR_AUTH_OAUTH_CLIENT=basic, but AMBASSADOR_AUTH_PASSWORD is not set"),
        ({**OAUTH2, **BY_KEY}, "AMBASSADOR_AUTH_OAUTH_KEY is not set"),
        (
            {**OAUTH2, **BY_KEY, "AUTH_OAUTH_KEY": "/k", "AUTH_PASSWORD": "p"},
            "AMBASSADOR_AUTH_PASSWORD is set, but AMBASSADOR_AUTH_OAUTH_CLIENT=private_key_jwt has no use for it",
        ),
        ({**OAUTH2, "AUTH_PASSWORD": "p", "AUTH_OAUTH_KEY": "/k"}, "AMBASSADOR_AUTH_OAUTH_KEY is set, but"),
        ({**OAUTH2, "AUTH_PASSWORD": "p", "AUTH_OAUTH_KEY_ID": "k"}, "it is for private_key_jwt"),
        (
            {"AUTH": "gcp", "AUTH_OAUTH_KEY": "/k"},
            "AMBASSADOR_AUTH=gcp has no use for it: set AMBASSADOR_AUTH to oauth2",
        ),
        ({**OAUTH2, "AUTH_PASSWORD": "p", "AUTH_OAUTH_PARAMS": "client_assertion=a"}, "another setting decides"),
        (
            {"AUTH": "azure", "AUTH_OAUTH_SCOPE": "a", "IDENTITY_ENDPOINT": "http://127.0.0.1:1"},
            "IDENTITY_HEADER is not",
        ),
        ({"AUTH": "azure"}, "AMBASSADOR_AUTH_OAUTH_SCOPE is not set"),
        ({**AWS, "AUTH_USERNAME": "AKID"}, "AMBASSADOR_AUTH_USERNAME and AMBASSADOR_AUTH_PASSWORD belong together"),
        ({**AWS, "AUTH_AUDIENCE": "a"}, "AMBASSADOR_AUTH_AUDIENCE is set, but AMBASSADOR_AUTH=aws has no use for it"),
        ({**AWS, "HEADERS": "X-Amz-Date: 1"}, "X-Amz-Date in AMBASSADOR_HEADERS are set"),
        ({"AUTH": "gcp", "AUTH_AUDIENCE": "a", "AUTH_OAUTH_SCOPE": "b"}, "keep one"),
        ({"AUTH": "azure", "AUTH_OAUTH_SCOPE": "a", "AZURE_FEDERATED_TOKEN_FILE": "/t"}, "AZURE_TENANT_ID is not set"),
        ({**AWS, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://far.test/"}, "without encryption"),
        ({"AUTH_AUDIENCE": "a"}, "AMBASSADOR_AUTH_AUDIENCE is set, but AMBASSADOR_AUTH=off has no use for it"),
    ],
)
def test_a_contradiction_is_a_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(environ)
    assert sentence in str(caught.value)


def test_variables_of_a_cloud_are_for_the_app_alone_unless_an_upstream_has_auth() -> None:
    environ = {
        "AZURE_AUTHORITY_HOST": "login.microsoftonline.us",  # Azure's SDK accepts it
        "AWS_SECRET_ACCESS_KEY_FILE": "/not/there",
        "AWS_ROLE_ARN": "arn",
    }
    for auth in ({}, {"AUTH": ""}, {"AUTH": "off"}):
        assert loaded({**environ, **auth}).aws_role_arn is None
    with pytest.raises(SettingsError) as caught:
        loaded({**environ, **AWS})
    assert len(caught.value.problems) == 2
    named = {"UPSTREAM": "", "SHOP_UPSTREAM": "https://shop", "SHOP_AUTH": "gcp", "AWS_ROLE_ARN": "arn"}
    assert loaded(named).aws_role_arn == "arn"


def test_values_of_further_parameters_are_not_shown() -> None:
    (spec,) = [spec for spec in specs(Settings) if spec.field == "auth_oauth_params"]
    assert spec.type.show(spec.type.parse("resource=a b, api_token=c")) == "resource=***,api_token=***"


def test_secrets_that_are_sent_without_tls_are_warned_about() -> None:
    signed = {**AWS, "UPSTREAM": "http://orders", "AWS_ENDPOINT_URL_STS": "http://sts.test"}
    warnings = "\n".join(loaded(signed).warn())
    assert "AMBASSADOR_AUTH is sent to orders:80 without encryption" in warnings
    assert "a secret is sent to AWS_ENDPOINT_URL_STS=http://sts.test without encryption" in warnings
    assert not list(loaded(AWS).warn())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sqs.eu-central-1.amazonaws.com", ("sqs", "eu-central-1")),
        ("things.s3.eu-central-1.amazonaws.com", ("s3", "eu-central-1")),
        ("S3.dualstack.us-gov-west-1.amazonaws.com.", ("s3", "us-gov-west-1")),
        ("a1.execute-api.eu-west-1.amazonaws.com", ("execute-api", "eu-west-1")),
        ("search-logs-1.eu-central-1.es.amazonaws.com", ("es", "eu-central-1")),
        ("x.eu-central-1.aoss.amazonaws.com", ("aoss", "eu-central-1")),
        ("vpce-1.sqs.eu-central-1.vpce.amazonaws.com", ("sqs", "eu-central-1")),
        ("bedrock-runtime.us-east-1.amazonaws.com", ("bedrock", "us-east-1")),
        ("abc.lambda-url.us-east-1.on.aws", ("lambda", "us-east-1")),
        ("s3.cn-north-1.amazonaws.com.cn", ("s3", "cn-north-1")),
        ("sts.amazonaws.com", ("sts", "us-east-1")),
        ("things.s3.amazonaws.com", ("s3", "")),
        ("unknown.eu-central-1.amazonaws.com", ("", "eu-central-1")),
        ("amazonaws.com", ("", "")),
        (".amazonaws.com", ("", "")),
        ("sqs.eu-central-1.amazonaws.com.evil.test", ("", "")),
        ("orders.shop", ("", "")),
    ],
)
def test_a_host_of_aws_names_its_service_and_region(host: str, expected: tuple[str, str]) -> None:
    assert service_and_region(host) == expected


def test_a_scope_that_the_host_says_need_not_be_set() -> None:
    assert (
        loaded({"AUTH": "aws", "UPSTREAM": "https://sqs.eu-central-1.amazonaws.com"}).upstreams["default"].auth == "aws"
    )
    mixed = "https://sqs.eu-central-1.amazonaws.com,https://sqs.eu-west-1.amazonaws.com"
    with pytest.raises(SettingsError, match="AUTH_AWS_SERVICE is not set"):
        loaded({"AUTH": "aws", "UPSTREAM": mixed})
