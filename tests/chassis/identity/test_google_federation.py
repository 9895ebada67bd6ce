"""Workload identity federation: what the file may say, and the requests that google-auth sends for the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from google.auth import identity_pool

from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.tls import client_context
from sidecars.chassis.identity import google_federation
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.google_federation import FederatedToken
from sidecars.chassis.identity.service import Service

ACCOUNT = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com"
EXPIRE = "2026-11-30T07:00:00Z"
ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/token": {"access_token": "federated-token", "expires_in": 3600, "token_type": "Bearer"},
    ":generateAccessToken": {"accessToken": "account-token", "expireTime": EXPIRE},
    ":generateIdToken": {"token": "e30.eyJpYXQiOjEsImV4cCI6NjAxfQ.c2ln"},
}
NOW = 1_796_018_400.0  # 2026-11-30T06:00:00Z


def configuration(folder: Path, **more: Any) -> dict[str, Any]:
    (folder / "token").write_text("the.pods.token")
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": str(folder / "token")},
        **more,
    }


class Asked:
    """The requests that were made: URL, method, body and the field Authorization."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any, str | None]] = []

    def note(self, url: str, method: str, body: bytes, fields: dict[str, str]) -> dict[str, Any]:
        text = body.decode()
        parsed = json.loads(text) if text.startswith("{") else {k: v[0] for k, v in parse_qs(text).items()}
        self.requests.append((url, method, parsed, fields.get("authorization")))
        return next(answer for end, answer in ANSWERS.items() if url.endswith(end))


def of_google_auth(info: dict[str, Any]) -> tuple[str, Asked]:
    asked = Asked()

    class Response:
        def __init__(self, found: dict[str, Any]) -> None:
            self.status, self.data = 200, json.dumps(found).encode()
            self.headers: dict[str, str] = {}

    def request(url: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any) -> Response:
        raw = body if isinstance(body, bytes) else str(body).encode()
        return Response(asked.note(url, method, raw, {name.lower(): each for name, each in dict(headers).items()}))

    made: Any = identity_pool.Credentials.from_info(info)  # type: ignore[no-untyped-call] # it has no types
    made = made.with_scopes([google_federation.CLOUD_PLATFORM])
    made.refresh(request)
    return str(made.token), asked


async def of_ours(
    path: Path, info: dict[str, Any], monkeypatch: pytest.MonkeyPatch, audience: str = ""
) -> tuple[str, float, Asked]:
    asked = Asked()
    path.write_text(json.dumps(info))  # noqa: ASYNC240 - a small file

    async def ask(self: Service, method: str, target: str, headers: Any, body: bytes | None = None) -> ClientResponse:
        fields = {name.lower(): each for name, each in headers}
        found = asked.note(f"{self.url.scheme}://{self.url.hostname}{target}", method, body or b"", fields)
        return ClientResponse(200, {}, json.dumps(found).encode(), early=False)

    monkeypatch.setattr(Service, "ask", ask)
    token = await FederatedToken(path, client_context(), audience=audience, clock=lambda: NOW).fetch(0.0)
    return token.text, token.ends, asked


@pytest.mark.parametrize("impersonated", [False, True])
async def test_the_exchange_is_that_of_google_auth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, impersonated: bool
) -> None:
    more = {"service_account_impersonation_url": f"{ACCOUNT}:generateAccessToken"} if impersonated else {}
    info = configuration(tmp_path, **more)
    theirs, expected = of_google_auth(info)
    token, ends, found = await of_ours(tmp_path / "file.json", info, monkeypatch)
    assert token == theirs == ("account-token" if impersonated else "federated-token")
    assert ends == 3600
    assert [(url, method) for url, method, _, _ in found.requests] == [
        (url, method) for url, method, _, _ in expected.requests
    ]
    for ours, other in zip(found.requests, expected.requests, strict=True):
        assert ours[3] == other[3]
        assert {name: each for name, each in ours[2].items() if other[2].get(name)} == {
            name: each for name, each in other[2].items() if each
        }


async def test_an_id_token_is_one_of_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = configuration(tmp_path, service_account_impersonation_url=f"{ACCOUNT}:generateAccessToken")
    token, ends, found = await of_ours(tmp_path / "file.json", info, monkeypatch, audience="https://run.test")
    assert (token, ends) == ("e30.eyJpYXQiOjEsImV4cCI6NjAxfQ.c2ln", 600)
    url, _, body, authorization = found.requests[1]
    assert url == f"{ACCOUNT}:generateIdToken"
    assert (body["audience"], authorization) == ("https://run.test", "Bearer federated-token")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "service_account"}, "is not external_account"),
        ({"credential_source": {"url": "http://x"}}, 'has no "file"'),
        ({"token_url": "http://sts.test/token"}, '"token_url" is no https:// URL'),
        ({"token_url": "https://u:p@sts.test/token"}, '"token_url" is no https:// URL'),
        ({"token_url": "https://sts.test/a\r\nb"}, '"token_url" is no https:// URL'),
        ({"service_account_impersonation_url": "http://iam.test"}, "is no https:// URL"),
        ({"audience": 5}, 'it lacks "audience"'),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps({**configuration(tmp_path), **change}))
    assert problem in google_federation.problem(path, "")


async def test_a_token_in_json_is_the_member_that_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"type": "json", "subject_token_field_name": "jwt"}
    info = configuration(tmp_path, credential_source={"file": str(tmp_path / "token"), "format": form})
    (tmp_path / "token").write_text('{"jwt": "inner.token"}')
    _, _, found = await of_ours(tmp_path / "file.json", info, monkeypatch)
    assert found.requests[0][2]["subject_token"] == "inner.token"
    (tmp_path / "token").write_text('{"jwt": "inner\\r\\ntoken"}')
    with pytest.raises(NoCredentials, match="has no token"):
        await of_ours(tmp_path / "file.json", info, monkeypatch)
