"""Each place of AWS credentials: what is asked, what the answers mean, and the order of the places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.chassis.identity import aws_sources
from sidecars.chassis.identity.aws_answers import UnusableAnswer, keys_of_metadata, keys_of_sts
from sidecars.chassis.identity.aws_sources import session_name
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity import aws_credentials
from sidecars.logshipper.sinks.identity.aws_credentials import AwsCredentials
from tests.logshipper.posting import served
from tests.support import PATIENCE

ROLE = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/logs", "POD_NAME": "shop-0"}
STS_ANSWER = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>token&#x2F;1+&amp;=</SessionToken>
<SecretAccessKey>secret/1+</SecretAccessKey><Expiration>2026-11-30T07:00:00Z</Expiration>
<AccessKeyId>ASIA1</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
METADATA_ANSWER = (
    b'{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"secret/1+","Token":"token/1","Expiration":'
    b'"2026-11-30T07:00:00Z"}'
)
NOW = 1_796_018_400.0  # 2026-11-30T06:00:00Z


def credentials(**environ: str) -> AwsCredentials:
    settings = load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:", **environ})
    return aws_credentials.create(settings, settings.sinks["default"], lambda: NOW)


@asynccontextmanager
async def answering(answer: Callable[[str, dict[str, str], bytes], tuple[int, bytes]]) -> AsyncIterator[str]:
    """Yield the address of a server. `answer` gets the first line, the fields and the body of each request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        status, text = answer(head[0].removesuffix(" HTTP/1.1"), fields, body)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(text)) + text)

    async with served(serve) as address:
        yield f"http://{address}"


# -- static --------------------------------------------------------------------------------------------------------


async def test_keys_of_the_environment_are_read_anew_from_their_files(tmp_path: Path) -> None:
    secret, token = tmp_path / "secret", tmp_path / "token"
    secret.write_text("secret-1\n")
    token.write_text("token-1\n")
    found = credentials(
        AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY_FILE=str(secret), AWS_SESSION_TOKEN_FILE=str(token)
    )
    keys = await found.current()
    assert (keys.access_key, keys.secret_key, keys.session_token) == ("AKID", "secret-1", "token-1")
    secret.write_text("secret-2")
    assert (await found.current()).secret_key == "secret-2"
    secret.unlink()
    with pytest.raises(RetryLater, match="the file of AWS_SECRET_ACCESS_KEY cannot be read"):
        await found.current()


async def test_keys_of_a_profile_are_read_anew_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    text = "[default]\naws_access_key_id = OTHER\naws_secret_access_key = other-key\n[logs]\naws_access_key_id={}\n"
    file.write_text(text.format("AKID1") + "aws_secret_access_key=secret-key-1\n")
    found = credentials(AWS_SHARED_CREDENTIALS_FILE=str(file), AWS_PROFILE="logs")
    assert (await found.current()).access_key == "AKID1"
    file.write_text(text.format("AKID2") + "aws_secret_access_key=secret-key-2\n")
    keys = await found.current()
    assert (keys.access_key, keys.secret_key) == ("AKID2", "secret-key-2")
    file.write_text(text.format("AKID3"))
    with pytest.raises(RetryLater, match=r"has no keys in its profile logs \(AWS_PROFILE\)"):
        await found.current()


# -- STS -----------------------------------------------------------------------------------------------------------


async def test_a_web_identity_is_exchanged_at_sts_with_the_token_of_the_moment(tmp_path: Path) -> None:
    asked = []

    def answer(line: str, _fields: dict[str, str], body: bytes) -> tuple[int, bytes]:
        asked.append((line, {name: values[0] for name, values in parse_qs(body.decode()).items()}))
        return 200, STS_ANSWER

    token = tmp_path / "token"
    token.write_text("eyJhbGci.first\n")
    async with answering(answer) as url:
        found = credentials(**ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ENDPOINT_URL_STS=url)
        keys = await found.current()
        token.write_text("eyJhbGci.second")
        found.reject(keys)
        await found.current()
    assert (keys.access_key, keys.secret_key, keys.session_token) == ("ASIA1", "secret/1+", "token/1+&=")
    assert keys.expires == NOW + 3600
    assert [form["WebIdentityToken"] for _, form in asked] == ["eyJhbGci.first", "eyJhbGci.second"]
    line, form = asked[0]
    assert line == "POST /"
    assert form["Action"] == "AssumeRoleWithWebIdentity"
    assert form["RoleArn"] == ROLE["AWS_ROLE_ARN"]
    assert form["RoleSessionName"] == "logshipper-shop-0"


async def test_a_refusal_of_sts_is_told_in_its_words(tmp_path: Path) -> None:
    refusal = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform "
        b"sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
    )
    token = tmp_path / "token"
    token.write_text("eyJhbGci.first\n")
    async with answering(lambda *_: (403, refusal)) as url:
        found = credentials(**ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ENDPOINT_URL_STS=url)
        with pytest.raises(RetryLater, match="AWS_ROLE_ARN: it answered with 403: AccessDenied: Not authorized"):
            await found.current()


async def test_a_token_file_that_is_missing_or_empty_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    found = credentials(**ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    with pytest.raises(RetryLater, match=r"AWS_WEB_IDENTITY_TOKEN_FILE cannot be read: No such file .*\(/\S+\)"):
        await found.current()
    token.write_text("\n")
    with pytest.raises(RetryLater, match="AWS_WEB_IDENTITY_TOKEN_FILE has no token"):
        await found.current()


@pytest.mark.parametrize(
    ("chosen", "pod", "expected"),
    [
        (None, "shop-0", "logshipper-shop-0"),
        (None, None, "logshipper"),
        ("a b/c", "shop-0", "a-b-c"),
        ("x", None, "x-"),
        (None, "p" * 100, f"logshipper-{'p' * 53}"),
    ],
)
def test_the_name_of_a_session_has_the_characters_that_sts_allows(
    chosen: str | None, pod: str | None, expected: str
) -> None:
    assert session_name(chosen, "logshipper", pod) == expected


# -- containers ----------------------------------------------------------------------------------------------------


async def test_a_container_asks_its_agent_with_the_token_of_the_moment(tmp_path: Path) -> None:
    asked = []

    def answer(line: str, fields: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        asked.append((line, fields["authorization"]))
        return 200, METADATA_ANSWER.replace(b'"Code":"Success",', b"")

    token = tmp_path / "token"
    token.write_text("pod-token-1\n")
    async with answering(answer) as url:
        found = credentials(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{url}/v1/credentials?a=b",
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
        )
        keys = await found.current()
        token.write_text("pod-token-2\n")
        found.reject(keys)
        await found.current()
    assert keys.session_token == "token/1"
    assert asked == [("GET /v1/credentials?a=b", "pod-token-1"), ("GET /v1/credentials?a=b", "pod-token-2")]


async def test_an_error_of_the_agent_is_told() -> None:
    body = b'{"code":"InvalidTokenException","message":"the token is not valid"}'
    async with answering(lambda *_: (400, body)) as url:
        found = credentials(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_CONTAINER_AUTHORIZATION_TOKEN="T0ken-of-pod")
        with pytest.raises(RetryLater, match="400: InvalidTokenException: the token is not valid"):
            await found.current()


# -- instances -----------------------------------------------------------------------------------------------------


async def test_an_instance_is_asked_by_the_second_version_of_its_service() -> None:
    asked = []

    def answer(line: str, fields: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        asked.append((line, fields.get("x-aws-ec2-metadata-token")))
        if line == "PUT /latest/api/token":
            assert fields["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
            return 200, b"session-token-of-imds"
        return 200, b"my-role\n" if line.endswith("/") else METADATA_ANSWER

    async with answering(answer) as url:
        keys = await credentials(AWS_EC2_METADATA_SERVICE_ENDPOINT=url).current()
    assert keys.access_key == "ASIA1"
    path = "/latest/meta-data/iam/security-credentials/"
    assert asked == [
        ("PUT /latest/api/token", None),
        (f"GET {path}", "session-token-of-imds"),
        (f"GET {path}my-role", "session-token-of-imds"),
    ]


async def test_a_hop_limit_that_lets_requests_hang_is_told_within_5_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = aws_sources._INSTANCE_TIMEOUT * aws_sources._INSTANCE_TRIES
    assert longest <= 5
    monkeypatch.setattr(aws_sources, "_INSTANCE_TIMEOUT", 0.05)
    tries: asyncio.Queue[None] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        tries.put_nowait(None)
        await reader.read()

    async with served(silent) as address:
        with pytest.raises(RetryLater, match=r"no response within 0.05 s.*hop limit must be 2"):
            await credentials(AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://{address}").current()
        for _ in range(3):  # a busy server may accept a try after it was given up
            await asyncio.wait_for(tries.get(), PATIENCE)
    assert tries.empty()


async def test_an_instance_without_a_role_is_told() -> None:
    async with answering(lambda line, *_: (200, b"token") if line.startswith("PUT") else (404, b"Not Found")) as url:
        with pytest.raises(RetryLater, match="knows no role: does the instance have a profile"):
            await credentials(AWS_EC2_METADATA_SERVICE_ENDPOINT=url).current()


# -- the order -----------------------------------------------------------------------------------------------------

EVERYTHING = {
    "LOGSHIPPER_SINK": "http://host/",
    "LOGSHIPPER_SINK_USERNAME": "u",
    "LOGSHIPPER_SINK_PASSWORD": "p",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "secret-key-1",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_SHARED_CREDENTIALS_FILE": "/profiles",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
}


async def test_the_places_have_the_order_of_the_sdks_of_aws() -> None:
    left, names = dict(EVERYTHING), []
    for removed in ("LOGSHIPPER_SINK_", "AWS_ACCESS", "AWS_ROLE", "AWS_SHARED", "AWS_CONTAINER", "none"):
        names.append(credentials(**left).source.name)
        left = {name: value for name, value in left.items() if not name.startswith(removed)}
    assert names == [
        "SINK_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "the instance's metadata service",
    ]


def test_an_address_of_credentials_that_is_none_is_an_error_at_the_start() -> None:
    with pytest.raises(SettingsError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        credentials(AWS_CONTAINER_CREDENTIALS_FULL_URI="localhost/creds")


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"AccessKeyId":"a"}',
        b'{"AccessKeyId":1,"SecretAccessKey":"s"}',
        b'{"AccessKeyId":"a\\nb","SecretAccessKey":"s"}',
        METADATA_ANSWER.replace(b"2026-11-30T07:00:00Z", b"soon"),
        METADATA_ANSWER.replace(b"2026-11-30T07:00:00Z", b"2026-11-30T07:00:00"),
        METADATA_ANSWER.replace(b"Success", b"Failed"),
    ],
)
def test_an_answer_of_a_metadata_service_without_keys_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableAnswer):
        keys_of_metadata(200, body)


@pytest.mark.parametrize("body", [b"", b"<html>", STS_ANSWER.replace(b"ASIA1", b""), METADATA_ANSWER])
def test_an_answer_of_sts_without_keys_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableAnswer):
        keys_of_sts(200, body)
