"""examples/grpc in real containers: the promises of its README, tested from outside.

The tests share one Pod and run in this order; the last one stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import httpx
import pytest

from tests.images.support import PATIENCE, docker, inspect, state, wait_healthy
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/grpc/compose.yaml"
PORTS = {"APP_PORT": "0", "AMBASSADOR_ADMIN": "0"}  # the engine chooses free ports
PROJECT = "test-example-grpc"


class Pod:
    """The Pod and the replicas outside of it, as `docker compose up` starts them."""

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

    def get(self, path: str, port: int = 8080) -> Any:
        return self.client.get(self.ports[f"{port}/tcp"] + path)

    def many(self, orders: int) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/many?orders={orders}").json()
        return found

    def requests(self) -> int:
        """Return the attempts that endpoints have had."""
        page = self.get("/status", 9913).json()
        (target,) = page["upstreams"]["default"]["targets"]
        return sum(endpoint["requests"] for endpoint in target["endpoints"])

    @contextmanager
    def under_load(self, orders: int) -> Iterator[Future[dict[str, Any]]]:
        """Yield the outcome of so many calls, of which 100 have been made already."""
        before = self.requests()
        with ThreadPoolExecutor(1) as pool:
            story = pool.submit(self.many, orders)
            wait_until(lambda: self.requests() >= before + 100, "calls are under way", PATIENCE)
            yield story


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    made = Pod()
    try:
        made.compose("up", "--build", "--detach")
        wait_healthy(made.container("ambassador"))
        wait_until(lambda: responds(made), "the app, and an order", PATIENCE)
        yield made
    finally:
        made.client.close()
        made.compose("down", "--volumes", "--timeout", "5")


def responds(pod: Pod) -> bool:
    try:
        return bool(pod.get("/orders/1").status_code == 200)
    except httpx.TransportError:
        return False


def test_the_calls_of_one_channel_reach_all_replicas_and_the_slow_one_least(pod: Pod) -> None:
    story = pod.many(1000)
    assert story["errors"] == {}, story
    answered = story["answered by"]
    assert min(answered["one"], answered["two"]) > answered.get("slow", 0)


def test_a_replica_that_is_stopped_fails_no_call(pod: Pod) -> None:
    with pod.under_load(4000) as story:
        pod.compose("stop", "orders-one")
        assert story.result()["errors"] == {}, story.result()
    assert state(pod.container("orders-one"))["ExitCode"] == 0
    pod.compose("start", "orders-one")
    wait_until(lambda: pod.many(50)["answered by"].get("one"), "the replica that is back serves", PATIENCE)


def test_a_replica_that_is_killed_ends_its_streams_and_fails_no_call(pod: Pod) -> None:
    served = [pod.get("/watch").json()["replica"] for _ in range(8)]
    assert pod.get("/watches").json() == {"open": 8}
    with pod.under_load(2000) as story:
        pod.compose("kill", "orders-two")
        assert story.result()["errors"] == {}, story.result()
    lost = served.count("two")
    expected = {"open": 8 - lost} | ({"UNAVAILABLE": lost} if lost else {})
    wait_until(lambda: pod.get("/watches").json() == expected, "only its streams have ended", PATIENCE)


def test_the_end_is_orderly(pod: Pod) -> None:
    pod.compose("stop", "app", "ambassador")
    assert state(pod.container("ambassador"))["ExitCode"] == 0
    assert state(pod.container("app"))["ExitCode"] == 0
