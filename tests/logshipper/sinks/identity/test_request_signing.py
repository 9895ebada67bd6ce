"""SINK_AUTH with receivers and token services that are strict. Real clouds were not asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.sinks.base import RetryLater
from tests.logshipper.opened_sinks import create, loaded, opened
from tests.logshipper.posting import batch, request_of, served
from tests.logshipper.receivers.tokens import PRIVATE_KEY, Cloud, Exchange, cloud

CLIENT = {"sink_auth": "oauth2", "sink_username": "client", "sink_oauth_token_url": "https://login/token"}
OAUTH = {"sink_username": "the client", "sink_password": "s3cret:+ pass%", "sink_oauth_scope": "logs.write"}


@pytest.fixture
async def sky() -> AsyncIterator[Cloud]:
    async with cloud() as made:
        yield made


def kinds(sky: Cloud, folder: Path) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return for each SINK_AUTH with tokens the environment and the settings."""
    token = folder / "pods-token"
    token.write_text("the.pods.token\n")
    azure = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_AUTHORITY_HOST": f"http://{sky.address}/"}
    (folder / "key.pem").write_bytes(PRIVATE_KEY)
    app_service = {
        "IDENTITY_ENDPOINT": f"http://{sky.address}/msi",
        "IDENTITY_HEADER": "the-header-of-app-service",
    }
    signed = {
        "sink_auth": "oauth2",
        "sink_oauth_token_url": f"http://{sky.address}/signed",
        "sink_username": "the client",
        "sink_oauth_client": "private_key_jwt",
        "sink_oauth_key": str(folder / "key.pem"),
    }
    return {
        "azure-app-service": (app_service, {"sink_auth": "azure"}),
        "oauth2-key": ({}, signed),
        "gcp": ({"GCE_METADATA_HOST": sky.address}, {"sink_auth": "gcp"}),
        "azure": ({**azure, "AZURE_FEDERATED_TOKEN_FILE": str(token)}, {"sink_auth": "azure"}),
        "azure-node": ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{sky.address}"}, {"sink_auth": "azure"}),
        "oauth2": ({}, {"sink_auth": "oauth2", "sink_oauth_token_url": f"http://{sky.address}/oauth", **OAUTH}),
    }


KINDS = ["gcp", "azure", "azure-node", "azure-app-service", "oauth2", "oauth2-key"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_is_fetched_once_and_goes_to_the_receiver(sky: Cloud, tmp_path: Path, kind: str) -> None:
    environ, settings = kinds(sky, tmp_path)[kind]
    async with opened(f"http://{sky.address}/in", environ, **settings) as sink:
        await sink.deliver(batch("one\n"))
        await asyncio.gather(*(sink.deliver(batch("more\n", 4 + number)) for number in range(20)))
    assert len(sky.asked) == 1
    assert len(sky.delivered) == 21
    assert {request.fields["authorization"] for request in sky.delivered} == {"Bearer token-number-1"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_the_receiver_rejects_is_replaced(sky: Cloud, tmp_path: Path, kind: str) -> None:
    environ, settings = kinds(sky, tmp_path)[kind]
    async with opened(f"http://{sky.address}/in", environ, **settings) as sink:
        await sink.deliver(batch("one\n"))
        sky.accepted = "token-number-2"
        with pytest.raises(RetryLater, match="401"):
            await sink.deliver(batch("two\n", 4))
        await sink.deliver(batch("two\n", 4))
    assert len(sky.asked) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((302, {"Location": "http://127.0.0.1:9/oauth"}, b""), "302"),
        ((200, {"Metadata-Flavor": "Google"}, b"x" * 100_000), "longer than"),
        ((200, {"Metadata-Flavor": "Google"}, b'{"access_token":"a\\nb"}'), "none that a header can carry"),
        ((503, {}, b""), "503"),
    ],
)
async def test_a_token_service_that_misbehaves_costs_a_sentence_and_nothing_is_sent(
    sky: Cloud, tmp_path: Path, kind: str, answer: Any, reason: str
) -> None:
    environ, settings = kinds(sky, tmp_path)[kind]
    sky.answer = answer
    async with opened(f"http://{sky.address}/in", environ, **settings) as sink:
        with pytest.raises(RetryLater, match=reason):
            await sink.deliver(batch("one\n"))
    assert sky.delivered == []


async def test_what_answers_for_googles_metadata_server_must_be_it(sky: Cloud) -> None:
    sky.answer = (200, {}, b'{"access_token":"of-a-stranger"}')
    async with opened(f"http://{sky.address}/in", {"GCE_METADATA_HOST": sky.address}, sink_auth="gcp") as sink:
        with pytest.raises(RetryLater, match="is another server"):
            await sink.deliver(batch("one\n"))


async def test_the_pods_token_is_read_anew_for_each_exchange(sky: Cloud, tmp_path: Path) -> None:
    environ, settings = kinds(sky, tmp_path)["azure"]
    path = tmp_path / "pods-token"
    path.write_text("an.old.token")
    async with opened(f"http://{sky.address}/in", environ, **settings) as sink:
        with pytest.raises(RetryLater, match=r"Entra ID gives no token.*AADSTS700024: the assertion has ended$"):
            await sink.deliver(batch("one\n"))
        path.unlink()
        with pytest.raises(RetryLater, match="the file of AZURE_FEDERATED_TOKEN_FILE cannot be read"):
            await sink.deliver(batch("one\n"))
        path.write_text("the.pods.token")
        await sink.deliver(batch("one\n"))


async def test_a_redirect_of_the_receiver_gets_no_token(sky: Cloud) -> None:
    heads = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request_of(reader))[0])
        writer.write(f"HTTP/1.1 307 X\r\nLocation: http://{sky.address}/in\r\nContent-Length: 0\r\n\r\n".encode())

    async with (
        served(elsewhere) as address,
        opened(f"http://{address}/", {"GCE_METADATA_HOST": sky.address}, sink_auth="gcp") as sink,
    ):
        with pytest.raises(RetryLater, match="redirects are not followed"):
            await sink.deliver(batch("one\n"))
    assert len(heads) == 1
    assert sky.delivered == []


# -- AWS -----------------------------------------------------------------------------------------------------------

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-of-nobody",
    "AWS_SESSION_TOKEN": "s3ssion",
}


def expected_signature(request: Exchange, host: str, service: str) -> str:
    """Return the signature that botocore makes of the fields that were signed."""
    signed = request.fields["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    path, question_mark, query = request.target.partition("?")
    pairs = (quote(unquote(part), safe="-._~=") for part in query.split("&"))  # botocore wants it encoded as AWS does
    made = AWSRequest(
        request.method,
        f"http://{host}{path}{question_mark}{'&'.join(pairs)}",
        {name: request.fields[name] for name in signed if name != "host"},
        request.body,
    )
    made.context["timestamp"] = request.fields["x-amz-date"]
    keys = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"])
    signer = SigV4Auth(keys, service, "eu-central-1")
    return str(signer.signature(signer.string_to_sign(made, signer.canonical_request(made)), made))


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
async def test_a_signature_is_dated_by_the_receivers_clock_if_it_refuses_this_one(ahead: float) -> None:
    dates: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, now = Exchange(*await request_of(reader)), time.time() + ahead
        dates.append(parse_date(request.fields["x-amz-date"]) - now)
        status = "200 OK" if abs(dates[-1]) < 300 else "403 Forbidden"
        date = formatdate(now, usegmt=True)
        writer.write(f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())

    settings = {"sink_auth": "aws", "sink_aws_service": "execute-api", "sink_region": "eu-central-1"}
    async with served(serve) as address, opened(f"http://{address}/in", KEYS, **settings) as sink:
        with pytest.raises(RetryLater, match="403"):
            await sink.deliver(batch("one\n"))
        for _ in range(2):
            await sink.deliver(batch("one\n"))
    assert [abs(date) < 300 for date in dates] == [False, True, True]


def parse_date(text: str) -> float:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("url", "settings", "service", "answer"),
    [
        ("otlp+http://{}", {}, "logs", b""),
        ("otlp+http://{}/v1/logs", {"compression": "gzip"}, "logs", b""),
        ("elasticsearch+http://{}/a%20path/logs?pipeline=b%20c", {}, "es", b'{"errors":false}'),
        ("elasticsearch+http://{}/logs", {"sink_aws_service": "aoss"}, "aoss", b'{"errors":false}'),
        ("http://{}/in?b=2&a=1", {"sink_aws_service": "execute-api"}, "execute-api", b""),
    ],
)
async def test_a_request_has_the_signature_of_aws(
    url: str, settings: dict[str, str], service: str, answer: bytes
) -> None:
    requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(Exchange(*await request_of(reader)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    async with served(serve) as address:
        where = url.format(address)
        async with opened(where, KEYS, sink_auth="aws", sink_region="eu-central-1", **settings) as sink:
            await sink.deliver(batch("".join(f"line {number}\n" for number in range(3000))))
    (request,) = requests
    assert request.fields["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert f"/eu-central-1/{service}/aws4_request," in request.fields["authorization"]
    assert request.fields["authorization"].rpartition("Signature=")[2] == expected_signature(request, address, service)
    assert request.fields["x-amz-security-token"] == "s3ssion"
    assert ("x-amz-content-sha256" in request.fields) is (service == "aoss")


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "environ", "settings", "problem"),
    [
        ("https://r/", {}, {"sink_auth": "kerberos"}, "expected one of none, basic, bearer, aws, gcp, azure, oauth2"),
        ("https://r/", {}, {"sink_auth": "bearer"}, "SINK_AUTH=bearer, but LOGSHIPPER_SINK_TOKEN is not set"),
        ("https://r/", {}, {"sink_auth": "basic"}, "SINK_AUTH=basic, but LOGSHIPPER_SINK_USERNAME is not set"),
        ("https://r/", {}, {"sink_auth": "oauth2"}, "SINK_AUTH=oauth2, but LOGSHIPPER_SINK_OAUTH_TOKEN_URL is not set"),
        (
            "https://r/",
            {},
            {"sink_auth": "none", "sink_token": "x"},
            "SINK_TOKEN is set, but .*=none has no use for it",
        ),
        ("https://r/", {}, {"sink_auth": "gcp", "sink_token": "x"}, "SINK_TOKEN is set, but .*=gcp has no use for it"),
        ("https://r/", {}, {"sink_auth": "aws"}, "SINK_AWS_SERVICE is not set: which service is it"),
        ("otlp+https://r", {}, {"sink_auth": "aws"}, "SINK_AUTH=aws, but .*SINK_REGION is not set: in which region"),
        ("https://r/", {}, {"sink_region": "x"}, "SINK_REGION is set, but LOGSHIPPER_SINK_AUTH is not: set it to aws"),
        ("https://r/", {"AZURE_FEDERATED_TOKEN_FILE": "/t"}, {"sink_auth": "azure"}, "but AZURE_CLIENT_ID is not set"),
        ("https://r/", {}, {**CLIENT, "sink_oauth_client": "private_key_jwt"}, "SINK_OAUTH_KEY is not set"),
        ("https://r/", {}, {**CLIENT, "sink_password": "p", "sink_oauth_key": "/k"}, "SINK_OAUTH_KEY is set, but"),
        ("https://r/", {}, CLIENT, "SINK_OAUTH_CLIENT=basic, but LOGSHIPPER_SINK_PASSWORD is not set"),
        ("https://r/", {}, {"sink_oauth_key": "/k"}, "SINK_OAUTH_KEY is set, but LOGSHIPPER_SINK_AUTH is not"),
        ("kafka://r/t", {}, {"sink_oauth_key_id": "k"}, "SINK_OAUTH_KEY_ID is set, but .*SINK_OAUTH_TOKEN_URL is not"),
        (
            "https://r/",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/no"},
            {"sink_auth": "gcp"},
            "CREDENTIALS: it cannot be read",
        ),
        ("https://r/", {"IDENTITY_ENDPOINT": "http://x"}, {"sink_auth": "azure"}, "but IDENTITY_HEADER is not set"),
        ("https://r/", {"GCE_METADATA_HOST": "http://x/"}, {"sink_auth": "gcp"}, "GCE_METADATA_HOST=.*expected"),
        ("forward://r", {}, {"sink_auth": "gcp"}, "SINK_AUTH is set, but forward: has no use for it"),
    ],
)
def test_what_does_not_fit_together_is_told_at_the_start(
    url: str, environ: dict[str, str], settings: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        create(url, environ, **settings)


async def test_none_sends_no_credentials(sky: Cloud) -> None:
    async with opened(f"http://{sky.address}/in", sink_auth="none") as sink:
        with pytest.raises(RetryLater, match="401"):
            await sink.deliver(batch("one\n"))


def test_a_token_without_encryption_is_warned_of() -> None:
    found = loaded("http://receiver/", sink_auth="gcp")
    assert list(found.warn()) == [
        "a token or its secret is sent to LOGSHIPPER_SINK=http://receiver/ without encryption: use https"
    ]
