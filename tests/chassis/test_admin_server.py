"""The admin server in this process."""

from __future__ import annotations

import httpx

from sidecars.chassis import admin_server
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.runtime.health import Health
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
