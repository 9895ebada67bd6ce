"""The twin of examples/grpc: its app and its replicas as processes, with the settings of its pod.yaml.

DNS is a small name server on loopback, the replicas have the addresses 127.0.0.2 and the next ones, and ports are free
ones. Everything else is as in the example.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ambassador.nameserver import NameServer, name_server
from tests.support import ROOT, Program, free_port, get, is_served, wait_until

EXAMPLE = ROOT / "examples" / "grpc"
REPLICAS = {"127.0.0.2": "one", "127.0.0.3": "two", "127.0.0.4": "slow"}


def environment(port: int) -> dict[str, str]:
    """Return the variables of the ambassador in pod.yaml, with another port of its upstream."""
    pod = next(iter(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text())))
    environ = {item["name"]: item["value"] for item in pod["spec"]["initContainers"][0]["env"] if "value" in item}
    assert environ["AMBASSADOR_UPSTREAM"] == "h2c://orders:8080"
    return environ | {"AMBASSADOR_UPSTREAM": f"h2c://orders:{port}"}


@dataclass
class World:
    """The Pod, and the replicas outside of it."""

    app: str
    admin: str
    zone: NameServer
    replicas: dict[str, Program]

    def many(self, orders: int) -> dict[str, Any]:
        found: dict[str, Any] = get(f"{self.app}/many?orders={orders}").json()
        return found

    def watches(self) -> dict[str, int]:
        found: dict[str, int] = get(f"{self.app}/watches").json()
        return found

    def endpoints(self) -> dict[str, dict[str, Any]]:
        page = get(f"{self.admin}/status").json()
        (target,) = page["upstreams"]["default"]["targets"]
        return {REPLICAS[each["address"].partition(":")[0]]: each for each in target["endpoints"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    running: list[Program] = []

    def begin(arguments: list[str], **environ: str) -> Program:
        running.append(Program(arguments, environ, tmp_path))
        return running[-1]

    orders, app, admin, listen = free_port(), free_port(), free_port(), f"127.0.0.1:{free_port()}"
    replicas = {
        name: begin(
            [str(EXAMPLE / "service.py")],
            HOST=host,
            PORT=str(orders),
            REPLICA=name,
            MODE="slow" if name == "slow" else "well",
        )
        for host, name in REPLICAS.items()
    }
    with name_server() as zone:
        zone.set_records("orders", *REPLICAS)
        environ = environment(orders) | {
            "AMBASSADOR_LISTEN": listen,
            "AMBASSADOR_RESOLV_CONF": str(zone.resolv_conf(tmp_path)),
            "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        }
        begin(["-m", "sidecars.ambassador"], **environ).wait_ready(admin)
        begin([str(EXAMPLE / "app.py")], HOST="127.0.0.1", PORT=str(app), ORDERS=listen)
        made = World(f"http://127.0.0.1:{app}", f"http://127.0.0.1:{admin}", zone, replicas)
        try:
            wait_until(lambda: is_served(f"{made.app}/orders/1"), "the app, and an order")
            yield made
        finally:
            for program in running:
                program.kill()


def test_one_channel_reaches_all_replicas_and_the_slow_one_least(world: World) -> None:
    story = world.many(600)
    assert story["errors"] == {}, story
    answered = story["answered by"]
    assert set(answered) >= {"one", "two"}
    assert min(answered["one"], answered["two"]) > answered.get("slow", 0)


def test_a_replica_that_leaves_gracefully_fails_no_call(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        story = pool.submit(world.many, 3000)
        wait_until(lambda: world.endpoints()["one"]["requests"] > 50, "calls are under way")
        world.replicas["one"].process.send_signal(signal.SIGTERM)
        assert not story.done(), "it left too late to tell anything"
        assert story.result()["errors"] == {}, story.result()


def test_a_replica_that_is_killed_fails_no_call_that_may_be_repeated(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        story = pool.submit(world.many, 3000)
        wait_until(lambda: world.endpoints()["two"]["requests"] > 50, "calls are under way")
        world.replicas["two"].kill()
        assert not story.done(), "it was killed too late to tell anything"
        assert story.result()["errors"] == {}, story.result()


def test_a_stream_ends_with_unavailable_only_where_its_replica_was_killed(world: World) -> None:
    served = [get(f"{world.app}/watch").json()["replica"] for _ in range(6)]
    assert world.watches()["open"] == 6
    lost = served.count("two")
    world.replicas["two"].kill()
    expected = {"open": 6 - lost} | ({"UNAVAILABLE": lost} if lost else {})
    wait_until(lambda: world.watches() == expected, "the streams of the killed replica have ended")
