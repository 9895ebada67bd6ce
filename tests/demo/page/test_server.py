"""The page and its events over real HTTP: late clients, clients that come back, and clients that do not read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from demo.events import Ended, Said
from demo.page import server as module
from demo.page.history import History
from demo.page.server import PageServer
from demo.stage import until

PATIENCE = 60.0  # seconds; far more than anything takes, for busy machines
HOSTILE = "<img src=x onerror=alert(1)>\r\n\r\nevent: forged\ndata: {}\n\n\u202e"


@pytest.fixture
async def history() -> History:
    return History("ab12")


@pytest.fixture
async def page(history: History) -> AsyncIterator[PageServer]:
    async with PageServer(history) as server:
        yield server


@pytest.fixture
async def client(page: PageServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=page.url, trust_env=False, timeout=PATIENCE) as made:
        yield made


def tell(history: History, *texts: str) -> None:
    for text in texts:
        history.take(Said(0.0, "app", text))


async def events(response: httpx.Response, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Read a number of events, as a browser does: their ids and their data."""
    found: list[tuple[str, dict[str, Any]]] = []
    last = ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            last = value
        elif name == "data":
            found.append((last, json.loads(value)))
            if len(found) == count:
                break
    return found


async def test_a_late_client_gets_the_whole_story_and_then_what_happens(
    history: History, client: httpx.AsyncClient
) -> None:
    tell(history, "one", HOSTILE)
    async with client.stream("GET", "/events") as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        reading = asyncio.create_task(events(response, 3))
        await until(lambda: history._more._waiters, "it has what there is, and waits")
        tell(history, "three")
        found = await reading
    assert [(name, event["what"]) for name, event in found] == [
        ("ab12.0", "one"),
        ("ab12.1", HOSTILE),
        ("ab12.2", "three"),
    ]


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(
    history: History, client: httpx.AsyncClient
) -> None:
    tell(history, "one", "two", "three")
    async with client.stream("GET", "/events", headers={"Last-Event-ID": "ab12.1"}) as response:
        assert await events(response, 1) == [("ab12.2", {"type": "said", "at": 0.0, "who": "app", "what": "three"})]


async def test_the_stream_ends_with_the_story_and_whoever_has_it_all_is_told_not_to_come_back(
    history: History, client: httpx.AsyncClient
) -> None:
    tell(history, "one")
    history.take(Ended(1.0, holds=True))
    async with client.stream("GET", "/events") as response:
        assert [event["type"] for _, event in await events(response, 10)] == ["said", "ended"]
    done = await client.get("/events", headers={"Last-Event-ID": "ab12.1"})
    assert (done.status_code, done.content) == (204, b"")


async def test_a_silent_story_sends_a_comment_so_that_the_connection_lives(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    async with client.stream("GET", "/events") as response:
        async for line in response.aiter_lines():
            if line == ": still here":
                break
        else:
            pytest.fail("the stream ended")


async def test_a_client_that_does_not_read_delays_neither_the_story_nor_another_client_nor_the_end(
    history: History, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    async with PageServer(history) as page:
        host, port = page.url.removeprefix("http://").rstrip("/").split(":")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, (host, int(port)))
            await asyncio.get_running_loop().sock_sendall(
                deaf, f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            )
            await until(lambda: page._streams, "the stream begins")
            for number in range(400):
                tell(history, f"{number} " + "x" * 50_000)  # 20 MB, more than all buffers of a connection
            history.take(Ended(1.0, holds=True))
            async with client.stream("GET", "/events", headers={"Last-Event-ID": "ab12.390"}) as response:
                found = await events(response, 10)
            assert found[-1][1]["type"] == "ended"
            assert page._streams == 1
    assert page._streams == 0


async def test_a_client_that_goes_away_makes_room_at_once(
    history: History, page: PageServer, client: httpx.AsyncClient
) -> None:
    tell(history, "one")
    async with client.stream("GET", "/events") as response:
        await events(response, 1)
    await until(lambda: not page._streams, "its stream has ended, long before the heartbeat")


async def test_only_so_many_pages_are_open_at_a_time(
    history: History, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIENTS", 1)
    tell(history, "one")
    async with client.stream("GET", "/events") as response:
        await events(response, 1)
        assert (await client.get("/events")).status_code == 503
        assert (await client.get("/")).status_code == 200


async def test_the_page_may_run_its_own_script_and_style_and_ask_its_own_server_alone(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/")
    rules = dict(rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["script-src"].startswith("'sha256-")
    assert rules["style-src"].startswith("'sha256-")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/events"])
async def test_a_request_under_another_name_gets_nothing(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Host": "evil.example"})
    assert response.status_code == 403
    assert "<" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/events", 405), ("PUT", "/", 405), ("GET", "/x", 404)]
)
async def test_there_is_nothing_to_change_and_nothing_else_to_read(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await client.request(method, path)).status_code == status
