"""The page of the admin server in this process: who gets HTML, who gets JSON, and who gets neither."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecars.chassis import admin_server
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.page.picture import Picture, Words
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from tests.chassis.programs import Settings
from tests.support import PATIENCE, free_port

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PICTURE = Picture(Words("Mood", "mood"))


def picture() -> Picture:
    return PICTURE


@pytest.fixture
async def admin() -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), lambda: {"mood": "fine"}, picture=picture),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/", "*/*", "text/html"),
        ("/", BROWSER, "text/html"),
        ("/", "", "text/html"),
        ("/", "application/json", "application/json"),
        ("/", "text/html;q=0.5,application/json", "application/json"),
        ("/", "image/png", "text/html"),
        ("/status", "*/*", "application/json"),
        ("/status", "", "application/json"),
        ("/status", BROWSER, "text/html"),
        ("/status", "text/*, application/*;q=0.9", "text/html"),
        ("/status", "text/html;q=0.5, application/json;q=0.5", "application/json"),
        ("/status", "text/html;q=0.1, */*;q=0", "text/html"),
        ("/status", "text/html;q=0, */*", "application/json"),
        ("/status", "nonsense;;;,", "application/json"),
    ],
)
async def test_a_client_gets_what_it_prefers(admin: httpx.AsyncClient, path: str, accept: str, expected: str) -> None:
    response = await admin.get(path, headers={"Accept": accept})

    assert response.status_code == 200
    assert response.headers["Content-Type"] == f"{expected}; charset=utf-8"
    assert response.headers["Vary"] == "Accept"


async def test_the_members_of_status_come_in_the_order_in_which_a_person_asks(admin: httpx.AsyncClient) -> None:
    page: dict[str, Any] = (await admin.get("/status")).json()

    assert list(page)[:10] == [
        *("name", "version", "state", "since", "since_seconds", "reasons", "not_alive", "not_ready", "trouble", "mood")
    ]
    assert list(page)[10:] == ["uptime_seconds", "pid", "connections", "descriptors", "confinement", "settings"]


async def test_a_name_of_dns_is_refused_because_a_stranger_may_have_rebound_it(admin: httpx.AsyncClient) -> None:
    for path in ("/", "/status"):
        for accept in (BROWSER, "application/json"):
            response = await admin.get(path, headers={"Host": "rebound.example:9913", "Accept": accept})
            assert response.status_code == 403
            assert "DNS rebinding" in response.text
            assert response.text.count("\n") == 1
            assert "DEMO_ADMIN_STATUS=any" in response.text
    assert (await admin.get("/livez", headers={"Host": "rebound.example"})).status_code == 200


@pytest.mark.parametrize(
    ("host", "accept"), [("localhost", BROWSER), ("[::1]:9913", BROWSER), ("10.0.0.7:9913", "*/*"), ("", "*/*")]
)
async def test_an_address_or_localhost_is_answered(admin: httpx.AsyncClient, host: str, accept: str) -> None:
    for path in ("/", "/status"):
        assert (await admin.get(path, headers={"Host": host, "Accept": accept})).status_code == 200


async def test_any_host_is_answered_if_the_status_is_for_anybody() -> None:
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port), admin_status="any")
    async with (
        admin_server.serve(settings, Health(), admin_server.registry()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        assert (await client.get("/status", headers={"Host": "api.example"})).status_code == 200
        assert (await client.get("/", headers={"Host": "api.example"})).status_code == 200


async def test_head_tells_the_length_of_the_page_without_the_page(admin: httpx.AsyncClient) -> None:
    head, whole = await admin.head("/"), await admin.get("/")

    assert head.content == b""
    assert abs(int(head.headers["Content-Length"]) - len(whole.content)) < 200  # numbers grow
    assert head.headers["Content-Security-Policy"] == whole.headers["Content-Security-Policy"]
    assert whole.headers["Cache-Control"] == "no-store"


async def test_compact_json_is_on_one_line_and_says_the_same(admin: httpx.AsyncClient) -> None:
    short, long = await admin.get("/status?compact"), await admin.get("/status")

    assert (short.text.count("\n"), list(short.json())) == (1, list(long.json()))
    assert long.text.count("\n") > 20


async def test_a_link_to_the_json_is_not_turned_into_a_page_by_a_browser(admin: httpx.AsyncClient) -> None:
    response = await admin.get("/status?json", headers={"Accept": BROWSER})

    assert response.headers["Content-Type"].startswith("application/json")


async def test_a_secret_is_found_in_json_and_page_although_its_characters_are_escaped_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = 'pässwort"<geheim>'
    spelling = json.dumps(secret, ensure_ascii=False)[1:-1]  # as runtime.scrubber spells it
    monkeypatch.setattr(logs, "_scrub", lambda text, _: text.replace(spelling, "***"))
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), lambda: {"mood": secret}, picture=picture),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        page, status = await client.get("/"), await client.get("/status")

    assert status.json()["mood"] == "***"
    assert "geheim" not in page.text
    assert page.text.count("***") == 2  # in the data, and in the part without a script


async def test_since_stays_the_same_while_the_state_does(admin: httpx.AsyncClient) -> None:
    times = {(await admin.get("/status")).json()["since"] for _ in range(20)}

    assert len(times) == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", times.pop())


async def test_trouble_of_the_log_and_of_the_sidecar_is_told() -> None:
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    own = {"code": "of-a-worker", "level": "warning", "message": "odd", "count": 1, "age_seconds": 2.0}
    logs.configure("info", "json", io.StringIO())
    logs.get("test").warning("slow", code="of-test-admin-page")
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), lambda: {"trouble": [own]}),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        told = (await client.get("/status")).json()["trouble"]

    assert [one["message"] for one in told if one["code"] == "of-test-admin-page"] == ["slow"]
    assert told[-1] == own


async def test_a_state_that_is_not_ready_has_its_reasons() -> None:
    health, port = Health(), free_port()
    health.hold("listener", "not listening")
    health.heartbeat("reader", max_age=-1)
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(settings, health, admin_server.registry()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        status = (await client.get("/status")).json()

    assert status["state"] == "not alive"
    assert status["reasons"] == [*status["not_alive"], "listener: not listening"]
    assert status["since_seconds"] >= 1


async def test_a_unix_socket_answers_under_any_name_since_no_browser_asks_it(tmp_path: Path) -> None:
    settings = Settings(admin_listen=Address(path=str(tmp_path / "admin")))
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "admin"))
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), dict, picture=picture),
        httpx.AsyncClient(base_url="http://any", transport=transport, timeout=PATIENCE) as client,
    ):
        for path in ("/", "/status", "/siblings"):
            assert (await client.get(path)).status_code == 200
