"""The status of an admin server that a hostile neighbour asks for without an end, and values that are no JSON."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sidecars.chassis import admin_server, shared_work
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.runtime.health import Health
from tests.chassis.programs import Settings
from tests.support import PATIENCE, free_port


@pytest.mark.parametrize("target", ["/", "/status", "/status?compact"])
async def test_clients_that_ask_and_leave_leave_no_work_behind(target: str) -> None:
    calls = 0
    released = asyncio.Event()

    async def status() -> Mapping[str, Any]:
        nonlocal calls
        calls += 1
        await released.wait()
        return {}

    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), status),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        for _ in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\nGET".encode())
            await writer.drain()
            writer.transport.abort()
        assert (await client.get("/livez")).status_code == 200  # so the server has read all of them
        released.set()
        assert (await client.get(target)).status_code == 200

    assert 1 <= calls <= 3  # the one under way, the one that waits for all others, and perhaps the last one


async def test_a_flood_of_scrapes_is_one_scrape_for_all_who_wait_in_whatever_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_work, "RESTS", 1e9)  # each rest is the longest one, so that all come in a few
    collected = 0

    class Counting(Collector):
        def collect(self) -> Iterator[Metric]:
            nonlocal collected
            collected += 1
            return iter(())

    registry, port = admin_server.registry(), free_port()
    registry.register(Counting())
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(settings, Health(), registry),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        assert (await client.get("/metrics")).status_code == 200
        collected = 0
        for number in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            accept = f"application/openmetrics-text;version=1.{number}.1"
            writer.write(f"GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\nGET".encode())
            await writer.drain()
            writer.transport.abort()
        assert (await client.get("/metrics")).status_code == 200

    assert collected < 30


async def test_numbers_that_json_does_not_have_are_texts_and_the_page_shows_them() -> None:
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    odd = {"rules": {"heap": {"value": math.nan}}, "limits": (math.inf, -math.inf, 1.5)}
    async with (
        admin_server.serve(settings, Health(), admin_server.registry(), lambda: odd),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        texts = [(await client.get(path)).text for path in ("/status", "/status?compact")]
        page = (await client.get("/")).text

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for text in texts:
        status = json.loads(text, parse_constant=refuse)
        assert status["rules"] == {"heap": {"value": "nan"}}
        assert status["limits"] == ["inf", "-inf", 1.5]
    assert "NaN" not in page.split("id=data>")[1].split("</script>")[0]
