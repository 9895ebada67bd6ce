"""examples/ambassador in real containers: the promises of its README, tested from outside.

The tests share one Pod and run in this order; the last one stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import httpx
import pytest

from tests.images.support import PATIENCE, docker, inspect, state, wait_healthy
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/ambassador/compose.yaml"
PORTS = {"APP_PORT": "0", "AMBASSADOR_ADMIN": "0", "TRACES_PORT": "0"}  # the engine chooses free ports
PROJECT = "test-example-ambassador"


class Pod:
    """The Pod and the services around it, as `docker compose up` starts them."""

    def __init__(self) -> None:
        self.client = httpx.Client(trust_env=False, timeout=120)

    def compose(self, *arguments: str) -> str:
        return docker("compose", "--project-name", PROJECT, "--file", str(FILE), *arguments, environ=PORTS)

    def container(self, service: str) -> str:
        (found,) = self.compose("ps", "--all", "--quiet", service).split()
        return found

    @cached_property
    def ports(self) -> dict[str, str]:
        bindings = inspect(self.container("pod"))["NetworkSettings"]["Ports"]
        return {port: f"http://127.0.0.1:{published[0]['HostPort']}" for port, published in bindings.items()}

    def get(self, path: str, port: int = 8080) -> httpx.Response:
        return self.client.get(self.ports[f"{port}/tcp"] + path)

    def many(self, orders: int) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/many?orders={orders}").json()
        return found

    def endpoints(self) -> list[dict[str, Any]]:
        (target,) = self.get("/status", 9913).json()["upstreams"]["orders"]["targets"]
        found: list[dict[str, Any]] = target["endpoints"]
        return found


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    made = Pod()
    try:
        made.compose("up", "--build", "--detach")
        wait_healthy(made.container("ambassador"))
        wait_until(lambda: responds(made, "/orders/1"), "the app, and an order", PATIENCE)
        yield made
    finally:
        made.client.close()
        made.compose("down", "--volumes", "--timeout", "5")


def responds(pod: Pod, path: str) -> bool:
    try:
        return pod.get(path).status_code == 200
    except httpx.TransportError:
        return False


def test_the_failing_replica_and_the_slow_one_cost_no_order(pod: Pod) -> None:
    assert len(pod.endpoints()) == 3
    story = pod.many(500)
    assert story["errors"] == 0, story
    assert "failing" not in story["answered by"]
    assert story["answered by"]["well"] > 350


def test_the_orders_are_traces_on_the_page(pod: Pod) -> None:
    bindings = inspect(pod.container("traces"))["NetworkSettings"]["Ports"]
    page = f"http://127.0.0.1:{bindings['4318/tcp'][0]['HostPort']}"

    def retried() -> bool:
        assert pod.many(20)["errors"] == 0
        traces = pod.client.get(f"{page}/traces.json").json()
        return any(len(spans) > 2 for spans in traces.values())

    wait_until(retried, "a trace with two attempts", PATIENCE)


def test_payments_are_reached_through_tls_that_the_app_does_not_speak(pod: Pod) -> None:
    response = pod.get("/payments/7")
    assert (response.status_code, response.json()["service"]) == (200, "payments")


def test_a_replica_that_is_killed_is_not_noticed_and_serves_again_when_it_is_back(pod: Pod) -> None:
    pod.compose("kill", "orders-well")
    assert pod.many(20)["errors"] == 0
    pod.compose("start", "orders-well")

    def serves() -> bool:
        story = pod.many(20)
        assert story["errors"] == 0, story
        return bool(story["answered by"].get("well"))

    wait_until(serves, "the replica that is back serves", PATIENCE)


def test_a_replica_that_is_stopped_is_left_without_a_request(pod: Pod) -> None:
    pod.compose("stop", "--timeout", "5", "orders-slow")
    wait_until(lambda: len(pod.endpoints()) == 2, "its address is gone", PATIENCE)
    assert pod.many(50)["errors"] == 0


def test_the_app_waits_for_an_ambassador_that_restarts(pod: Pod) -> None:
    pod.compose("kill", "ambassador")
    with ThreadPoolExecutor(1) as pool:
        orders = pool.submit(pod.many, 50)
        pod.compose("start", "ambassador")
        assert orders.result()["errors"] == 0


def test_the_end_is_orderly(pod: Pod) -> None:
    pod.compose("stop")
    assert state(pod.container("ambassador"))["ExitCode"] == 0
    assert state(pod.container("app"))["ExitCode"] == 0
