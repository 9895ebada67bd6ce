"""The twin of examples/ambassador: its app and its services as processes, with the settings of its pod.yaml.

A laptop has no cluster: its DNS is a small name server on loopback, the addresses of the replicas are 127.0.0.2 and the
next ones, ports are free ones, and the test makes the certificate. Everything else is as in the example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.ambassador.nameserver import NameServer, name_server
from tests.support import ROOT, Program, free_port, get, is_served, wait_until

EXAMPLE = ROOT / "examples" / "ambassador"
MODES = {"127.0.0.2": "well", "127.0.0.3": "slow", "127.0.0.4": "failing"}


def environment(upstreams: dict[str, str]) -> dict[str, str]:
    """Return the variables of the ambassador in pod.yaml, with these upstreams instead of those of the cluster."""
    pod = next(iter(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text())))
    environ = {item["name"]: item["value"] for item in pod["spec"]["initContainers"][0]["env"] if "value" in item}
    for name, ours in upstreams.items():
        assert environ[name].rpartition(":")[0] == ours.rpartition(":")[0], "but for the port it is the same URL"
    return environ | upstreams


@dataclass
class World:
    """The Pod, and the services outside of it."""

    app: str
    admin: str
    traces: str
    zone: NameServer
    replicas: dict[str, Program]
    ambassador: Callable[[], Program]  # starts it
    ambassadors: list[Program]

    def many(self, orders: int) -> dict[str, Any]:
        found: dict[str, Any] = get(f"{self.app}/many?orders={orders}").json()
        return found

    def endpoints(self) -> dict[str, dict[str, Any]]:
        page = get(f"{self.admin}/status").json()
        (target,) = page["upstreams"]["orders"]["targets"]
        return {each["address"].partition(":")[0]: each for each in target["endpoints"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    running: list[Program] = []

    def begin(arguments: list[str], **environ: str) -> Program:
        running.append(Program(arguments, environ, tmp_path))
        return running[-1]

    orders, payments, app, admin = free_port(), free_port(), free_port(), free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("payments").private_key_and_cert_chain_pem.write_to_path(tmp_path / "payments.pem")
    service = str(EXAMPLE / "service.py")
    replicas = {
        host: begin([service], HOST=host, PORT=str(orders), MODE=mode, REPLICA=host) for host, mode in MODES.items()
    }
    pem = str(tmp_path / "payments.pem")
    traces = free_port()
    begin([str(EXAMPLE / "traces.py")], HOST="127.0.0.1", PORT=str(traces))
    begin([service], HOST="127.0.0.5", PORT=str(payments), SERVICE="payments", TLS_CERT=pem, TLS_KEY=pem)
    with name_server() as zone:
        zone.set_records("orders", *MODES)
        zone.set_records("payments", "127.0.0.5")
        port = free_port()
        environ = environment(
            {
                "AMBASSADOR_ORDERS_UPSTREAM": f"http://orders:{orders}",
                "AMBASSADOR_PAYMENTS_UPSTREAM": f"https://payments:{payments}",
            }
        )
        environ |= {
            "AMBASSADOR_LISTEN": f"127.0.0.1:{port}",
            "AMBASSADOR_TRACES_ENDPOINT": f"http://127.0.0.1:{traces}",
            "AMBASSADOR_PAYMENTS_TLS_CA": str(tmp_path / "ca.pem"),
            "AMBASSADOR_RESOLV_CONF": str(zone.resolv_conf(tmp_path)),
            "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        }
        ambassador = partial(begin, ["-m", "sidecars.ambassador"], **environ)
        first = ambassador()
        first.wait_ready(admin)
        begin([str(EXAMPLE / "app.py")], HOST="127.0.0.1", PORT=str(app), SERVICES=f"http://127.0.0.1:{port}")
        own, its_admin, its_traces = (f"http://127.0.0.1:{number}" for number in (app, admin, traces))
        made = World(own, its_admin, its_traces, zone, replicas, ambassador, [first])
        try:
            wait_until(lambda: is_served(f"{made.app}/orders/1"), "the app, and an order")
            yield made
        finally:
            for program in running:
                program.kill()


def test_the_app_notices_nothing_of_the_replica_that_fails_and_the_one_that_is_slow(world: World) -> None:
    story = world.many(400)
    assert story["errors"] == 0, story
    assert "failing" not in story["answered by"]
    assert story["answered by"]["well"] > story["answered by"].get("slow", 0)


def test_what_the_ambassador_knows_is_in_its_status(world: World) -> None:
    world.many(200)
    known = world.endpoints()
    assert known["127.0.0.4"]["failed"] >= 1
    assert known["127.0.0.3"]["cost_seconds"] > known["127.0.0.2"]["cost_seconds"]


def test_payments_are_reached_through_tls_that_the_app_does_not_speak(world: World) -> None:
    response = get(f"{world.app}/payments/7")
    assert response.status_code == 200
    assert response.json()["service"] == "payments"
    assert response.json()["host"].startswith("payments:")
    routes = get(f"{world.admin}/status").json()["routes"]
    assert [(each["route"], each["upstream"], each["requests"]) for each in routes] == [
        ("/payments", "payments", 1),
        ("/", "orders", 1),  # of the fixture
    ]


def test_an_order_that_was_tried_twice_is_a_trace_on_the_page(world: World) -> None:
    def retried() -> tuple[str, list[dict[str, Any]]] | None:
        world.many(20)
        traces = get(f"{world.traces}/traces.json").json()
        return next(((trace, spans) for trace, spans in traces.items() if len(spans) > 2), None)

    trace, spans = wait_until(retried, "a trace with two attempts")
    own, failed, good = sorted(spans, key=lambda span: (span["kind"] != "server", span["start"]))
    assert {failed["parent"], good["parent"]} == {own["id"]}
    assert (failed["failed"], good["failed"], own["failed"]) == (True, False, False)
    assert failed["attributes"]["network.peer.address"] == "127.0.0.4"
    assert [event["name"] for event in own["events"]] == ["retry"]
    assert f'href="/{trace}"' in get(world.traces).text
    page = get(f"{world.traces}/{trace}").text
    assert "attempt at 127.0.0.4" in page
    assert page.count("<svg") == 3


def test_a_replica_that_is_killed_and_one_that_is_new_are_not_noticed(world: World, tmp_path: Path) -> None:
    world.replicas["127.0.0.2"].kill()
    assert world.many(20)["errors"] == 0
    port = next(iter(world.endpoints().values()))["address"].partition(":")[2]
    program = Program([str(EXAMPLE / "service.py")], {"HOST": "127.0.0.6", "PORT": port}, tmp_path)
    try:
        world.zone.set_records("orders", "127.0.0.3", "127.0.0.4", "127.0.0.6")
        wait_until(lambda: "127.0.0.6" in world.endpoints() and "127.0.0.2" not in world.endpoints(), "what DNS says")
        story = world.many(200)
        assert story["errors"] == 0, story
        assert story["answered by"]["well"] > 150
    finally:
        program.kill()


def test_the_app_waits_for_an_ambassador_that_restarts_and_loses_no_order(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        orders = pool.submit(world.many, 1500)
        wait_until(lambda: sum(each["requests"] for each in world.endpoints().values()) > 100, "orders are under way")
        world.ambassadors[0].kill()
        assert not orders.done(), "it was killed too late to tell anything"
        world.ambassador()
        story = orders.result()
    assert story["errors"] == 0, story
