"""examples/egress-gateway in real containers: a shared ambassador, of which one replica is killed."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.images.support import PATIENCE, docker, state
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/egress-gateway/compose.yaml"


def test_apps_share_a_gateway_and_notice_neither_a_failing_service_nor_the_end_of_one_gateway() -> None:
    project = f"sidecars-test-{uuid.uuid4().hex[:8]}"

    def compose(*arguments: str) -> str:
        return docker("compose", "--project-name", project, "--file", FILE, *arguments, environ={"APP_PORT": "0"})

    try:
        compose("up", "--build", "--detach", "--quiet-pull")
        app = f"http://{compose('port', 'app', '8080').strip()}"

        def many(orders: int) -> dict[str, Any]:
            found: dict[str, Any] = httpx.get(f"{app}/many?orders={orders}", trust_env=False, timeout=PATIENCE).json()
            return found

        def serves() -> bool:
            try:
                return bool(many(1)["errors"] == 0)
            except httpx.TransportError:
                return False

        wait_until(serves, "an order", PATIENCE)
        assert many(200)["errors"] == 0
        compose("kill", "egress-1")
        story = many(50)
        assert story["errors"] == 0, story
        compose("stop", "app", "egress-2")
        assert state(compose("ps", "--all", "--quiet", "egress-2").strip())["ExitCode"] == 0
    finally:
        print(compose("logs", "--no-color", "--tail", "20", "egress-1", "egress-2"))  # noqa: T201 - what went wrong
        compose("down", "--volumes", "--timeout", "5")
