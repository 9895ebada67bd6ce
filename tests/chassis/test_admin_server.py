"""The admin server in this process."""

from __future__ import annotations

import asyncio
import io

import httpx
import pytest

from sidecars.chassis import admin_server
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http.server import Request
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from sidecars.chassis.status_document import StatusDocument
from tests.chassis.programs import Settings
from tests.support import PATIENCE, free_port


async def test_livez_and_readyz_say_no_and_why() -> None:
    health = Health()
    health.hold("listener", "not listening yet")
    heartbeat = health.heartbeat("reader", max_age=0)
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))

    async with (
        admin_server.serve(settings, health, admin_server.registry()),
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        ready = await client.get(f"http://127.0.0.1:{port}/readyz")
        alive = await client.get(f"http://127.0.0.1:{port}/livez")
        heartbeat.idle()
        again = await client.get(f"http://127.0.0.1:{port}/livez")

    assert (ready.status_code, ready.text) == (503, "not ready: listener: not listening yet\n")
    assert alive.status_code == 503
    assert alive.text.startswith("not alive: reader: no beat for ")
    assert again.status_code == 200


async def test_readiness_is_a_number_for_a_dashboard() -> None:
    health, metrics = Health(), admin_server.registry()
    settings = Settings(admin_listen=Address("127.0.0.1", free_port()))

    async with admin_server.serve(settings, health, metrics):
        assert metrics.get_sample_value("sidecar_ready") == 1
        latch = health.hold("listener", "not listening yet")
        assert metrics.get_sample_value("sidecar_ready") == 0
        latch.release()
        assert metrics.get_sample_value("sidecar_ready") == 1


@pytest.mark.parametrize(("status", "expected"), [("loopback", 403), ("any", 200)])
async def test_nobody_beyond_this_pod_makes_a_sidecar_ask_its_siblings(status: str, expected: int) -> None:
    settings = Settings(admin_listen=Address("127.0.0.1", 0), admin_status=status, admin_siblings={"x": free_port()})
    document = StatusDocument(settings, Health(), dict)
    scrapes = admin_server._Scrapes("shop", Health(), admin_server.registry)
    endpoints = admin_server._Endpoints(settings, Health(), scrapes, document, None)

    stranger = await endpoints.answer(Request("GET", "/siblings", "", {"host": "127.0.0.1"}, is_local=False))
    neighbour = await endpoints.answer(Request("GET", "/siblings", "", {"host": "127.0.0.1"}, is_local=True))

    assert (stranger.status, neighbour.status) == (expected, 200)
    assert (b"not here" in stranger.body) == (expected == 200)


async def test_a_status_that_takes_several_turns_is_waited_for_while_the_port_answers_others() -> None:
    port, goes_on = free_port(), asyncio.Event()
    settings = Settings(admin_listen=Address("127.0.0.1", port))

    async def status() -> dict[str, str]:
        await goes_on.wait()
        return {"mood": "slow"}

    async with (
        admin_server.serve(settings, Health(), admin_server.registry, status),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        waiting = asyncio.create_task(client.get("/status"))
        assert (await client.get("/livez")).status_code == 200
        assert not waiting.done()
        goes_on.set()
        assert (await waiting).json()["mood"] == "slow"


def test_lines_of_the_log_are_counted_by_level_and_each_level_is_there_before_its_first_line() -> None:
    metrics, log = admin_server.registry(), logs.get("test")

    def lines() -> dict[str, float]:
        found = {
            level: metrics.get_sample_value("sidecar_log_messages_total", {"level": level}) for level in logs.LEVELS
        }
        return {level: value for level, value in found.items() if value is not None}

    before = lines()
    assert set(before) == {"debug", "info", "warning", "error"}
    logs.configure("info", "json", io.StringIO())
    log.debug("this is below the level")
    log.warning("one", code="test")
    log.error("two", code="test")
    log.error("three", code="test")
    assert {level: value - before[level] for level, value in lines().items()} == {
        "debug": 0,
        "info": 0,
        "warning": 1,
        "error": 2,
    }
