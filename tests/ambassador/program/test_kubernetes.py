"""The real program with an upstream of `k8s://`, an API server and a name server on loopback."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ambassador.api_server import ApiServer, credentials, endpoint, endpoint_slice, leaving
from tests.ambassador.nameserver import NameServer, name_server
from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering
from tests.conftest import Start
from tests.support import free_port, get, wait_until

SERVICE = "orders.shop.svc.cluster.local"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    with contextlib.suppress(AssertionError):
        server.stop()


@pytest.fixture
def zone() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def pods() -> Iterator[Callable[..., Backend]]:
    """Start Pods that answer with the last number of their address, all on one port."""
    port, running = free_port(), []

    def start_pod(number: int) -> Backend:
        running.append(Backend(answering(b"%d" % number), port, host=f"127.0.0.{number}"))
        return running[-1]

    yield start_pod
    for each in running:
        each.stop()


@pytest.fixture
def ambassador(start: Start, api: ApiServer, zone: NameServer, tmp_path: Path) -> Callable[..., Ambassador]:
    files = credentials(tmp_path / "serviceaccount")

    def begin(upstream: str, **environ: str) -> Ambassador:
        return Ambassador(
            start,
            upstream,
            RESOLV_CONF=str(
                zone.resolv_conf(tmp_path, "search shop.svc.cluster.local svc.cluster.local cluster.local")
            ),
            KUBERNETES_API=api.url,
            KUBERNETES_ACCOUNT=str(files),
            **environ,
        )

    return begin


def target(ambassador: Ambassador) -> dict[str, Any]:
    page = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
    found: dict[str, Any] = page["upstreams"]["default"]["targets"][0]
    return found


def numbers(ambassador: Ambassador) -> set[bytes]:
    """Return the Pods that answer: each gets its share of sixteen requests."""
    return {ambassador.ask()[2] for _ in range(16)}


def test_only_an_upstream_in_kubernetes_loads_what_follows_it() -> None:
    program = "import sys; from sidecars.ambassador import app, settings; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "sidecars.ambassador.discovery.dns_refresh" in done.stdout
    assert "kubernetes" not in done.stdout


class Load:
    """Requests one after the other from several threads, on connections that they keep, until `stop`."""

    def __init__(self, ambassador: Ambassador) -> None:
        self.ambassador = ambassador
        self.statuses: list[int] = []
        self.answers: list[bytes] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with self.ambassador.connect() as peer:
            while not self._over.is_set():
                peer.send(GET)
                status, _, body = peer.response()
                self.statuses.append(status)
                self.answers.append(body)

    def pass_more(self, count: int = 50) -> None:
        """Wait until so many further requests have ended."""
        goal = len(self.statuses) + count
        wait_until(lambda: len(self.statuses) >= goal, "requests that go on")

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_a_pod_that_leaves_gracefully_and_one_that_comes_fail_no_request(
    api: ApiServer, pods: Callable[..., Backend], ambassador: Callable[..., Ambassador]
) -> None:
    old = pods(2)
    pods(3)
    port = old.port
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2"), endpoint("127.0.0.3")], port))
    made = ambassador("k8s://orders.shop:http")
    load = Load(made)
    try:
        load.pass_more()
        api.put(endpoint_slice("orders-a", [leaving("127.0.0.2"), endpoint("127.0.0.3")], port))
        wait_until(
            lambda: [each["address"] for each in target(made)["endpoints"]] == [f"127.0.0.3:{port}"], "no new ones"
        )
        wait_until(lambda: not target(made)["leaving"], "the end of the requests under way there")
        begun = len(load.answers)
        old.stop()
        load.pass_more()
        assert set(load.answers[begun + 4 :]) == {b"3"}
        pods(4)
        api.put(endpoint_slice("orders-a", [endpoint("127.0.0.4"), endpoint("127.0.0.3")], port))
        wait_until(lambda: b"4" in load.answers, "the Pod that is new")
        load.pass_more()
    finally:
        load.stop()
    assert set(load.statuses) == {200}
    assert made.metric("ambassador_upstream_retries_total") == 0
    assert made.metric("ambassador_upstream_kubernetes_away") == 0


def test_a_tunnel_to_a_pod_that_terminates_goes_on_until_the_pod_is_gone(
    api: ApiServer, ambassador: Callable[..., Ambassador]
) -> None:
    def echo(peer: Peer) -> None:
        while line := peer.until(b"\n"):
            peer.send(line)

    pod = Backend(echo, host="127.0.0.2")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], pod.port))
    made = ambassador(f"tcp+k8s://orders.shop:{pod.port}", DRAIN_TIMEOUT="200ms")
    with made.connect() as peer:
        peer.send(b"one\n")
        assert peer.until(b"\n") == b"one\n"
        api.put(endpoint_slice("orders-a", [endpoint("127.0.0.3"), leaving("127.0.0.2")], pod.port))
        wait_until(lambda: target(made)["leaving"], "the Pod to leave")
        assert "its connections may go on" in target(made)["leaving"][0]["reason"]
        time.sleep(0.6)  # three times DRAIN_TIMEOUT
        peer.send(b"two\n")
        assert peer.until(b"\n") == b"two\n"
        api.put(endpoint_slice("orders-a", [endpoint("127.0.0.3")], pod.port))
        with contextlib.suppress(ConnectionResetError):
            assert peer.rest() == b""
    pod.stop()


def test_the_api_may_be_killed_and_come_back_and_the_endpoints_of_the_zone_stay_meanwhile(
    api: ApiServer, pods: Callable[..., Backend], ambassador: Callable[..., Ambassador]
) -> None:
    port = pods(2).port
    pods(3)
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2", "a"), endpoint("127.0.0.3", "b")], port))
    made = ambassador(f"k8s://orders.shop:{port}", TOPOLOGY_ZONE="a")
    assert numbers(made) == {b"2"}
    assert target(made)["kubernetes"]["note"] == "zone a: 1 of 2 endpoints by hints of the cluster"
    api.stop()
    wait_until(lambda: target(made)["kubernetes"]["answer"] == "stale", "an API that is away")
    assert "cannot be reached: Connection refused" in target(made)["kubernetes"]["error"]
    assert target(made)["kubernetes"]["source"] == "kubernetes"
    assert numbers(made) == {b"2"}
    assert made.metric("ambassador_upstream_kubernetes_away") == 1
    assert made.metric("ambassador_upstream_kubernetes_failures_total") > 0
    assert get(f"http://127.0.0.1:{made.admin}/readyz").is_success
    assert made.program.wait_logged("EndpointSlices cannot be followed")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.3")], port))
    api.compact()
    api.start()
    wait_until(lambda: numbers(made) == {b"3"}, "what has changed while it was away")
    assert target(made)["kubernetes"]["error"] == ""
    assert made.program.wait_logged("EndpointSlices are followed again")


def test_dns_stands_in_for_an_api_that_refuses_and_the_cure_is_told(
    api: ApiServer, zone: NameServer, pods: Callable[..., Backend], ambassador: Callable[..., Ambassador]
) -> None:
    port = pods(2).port
    pods(3)
    api.refusals["list"] = 403
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.3")], port))
    zone.set_records(SERVICE, "127.0.0.2")
    made = ambassador(f"k8s://orders.shop:{port}")
    assert numbers(made) == {b"2"}
    found = target(made)["kubernetes"]
    assert (found["source"], found["answer"]) == ("dns", "failed")
    assert "bind a Role there with get, list and watch" in found["error"]
    assert target(made)["dns"]["answer"] == "ok"
    assert made.metric("ambassador_upstream_kubernetes_by_dns") == 1
    assert made.program.wait_logged("DNS names the endpoints in place of the Kubernetes API")
    api.refusals.clear()
    wait_until(lambda: numbers(made) == {b"3"}, "the slices")
    assert target(made)["kubernetes"]["source"] == "kubernetes"
    assert made.metric("ambassador_upstream_kubernetes_by_dns") == 0


def test_dns_takes_over_after_the_grace(
    api: ApiServer, zone: NameServer, pods: Callable[..., Backend], ambassador: Callable[..., Ambassador]
) -> None:
    port = pods(2).port
    pods(3)
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], port))
    zone.set_records(
        "_http._tcp.orders.shop.svc.cluster.local", f"0 1 {port} a.orders.shop.svc.cluster.local.", kind="SRV"
    )
    zone.set_records("a.orders.shop.svc.cluster.local", "127.0.0.3")
    made = ambassador("k8s://orders.shop:http", KUBERNETES_GRACE="300ms")
    assert numbers(made) == {b"2"}
    api.stop()
    wait_until(lambda: numbers(made) == {b"3"}, "DNS")


def test_a_token_that_is_rotated_is_read_by_the_confined_program(
    api: ApiServer, pods: Callable[..., Backend], ambassador: Callable[..., Ambassador], tmp_path: Path
) -> None:
    port = pods(2).port
    pods(3)
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], port))
    made = ambassador("k8s://orders.shop:http", CONFINEMENT="required", WORKERS="2")
    api.tokens = {"a.second-token"}
    credentials(tmp_path / "serviceaccount", token="a.second-token")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.3")], port))
    api.end_watches()
    wait_until(lambda: numbers(made) == {b"3"}, "the slices after the new token")
    api.end_watches()
    asked = api.asked["watch"]
    wait_until(lambda: api.asked["watch"] > asked, "a watch with the new token")
    assert target(made)["kubernetes"]["error"] == ""


def test_it_is_ready_when_a_pod_is_and_says_what_it_waits_for(
    api: ApiServer, pods: Callable[..., Backend], start: Start, zone: NameServer, tmp_path: Path
) -> None:
    admin, port = free_port(), pods(2).port
    api.refusals["list"] = 403
    program = start(
        "ambassador",
        AMBASSADOR_UPSTREAM="k8s://orders.shop:http",
        AMBASSADOR_LISTEN=f"127.0.0.1:{free_port()}",
        AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        AMBASSADOR_KUBERNETES_API=api.url,
        AMBASSADOR_KUBERNETES_ACCOUNT=str(credentials(tmp_path / "serviceaccount")),
        AMBASSADOR_RESOLV_CONF=str(zone.resolv_conf(tmp_path)),
    )

    def says(words: str) -> bool:
        try:
            return words in get(f"http://127.0.0.1:{admin}/readyz").text
        except httpx.TransportError:
            return False

    wait_until(lambda: says("bind a Role there"), "the cure in the reason")
    assert says("DNS: the name does not exist")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2", ready=False)], port))
    api.refusals.clear()
    wait_until(lambda: says("none of the 1 endpoints of the Service orders.shop is ready"), "the reason")
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], port))
    program.wait_ready(admin)
