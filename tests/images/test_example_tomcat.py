"""examples/tomcat with a real Tomcat: the promises of its README, tested from outside.

The tests share one Pod and run in this order; the last one stops it.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.images.support import PATIENCE, docker, inspect, state
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/tomcat/compose.yaml"
POD = ["pod", "warcopier", "logshipper", "ambassador", "adapter", "tomcat"]
OURS = ["pod", "logshipper", "ambassador", "adapter"]
OTHERS = ["backend", "logreceiver"]
# Port 0: the engine chooses a free port, so that tests and other programs do not disturb each other.
PORTS = dict.fromkeys(["APP_PORT", "HEALTH_PORT", "LOGSHIPPER_ADMIN", "AMBASSADOR_ADMIN", "ADAPTER_ADMIN"], "0")


@dataclass
class Shop:
    """The Pod and the services around it, as `docker compose up` starts them."""

    project: str
    client: httpx.Client

    def compose(self, *arguments: str | Path) -> str:
        return docker("compose", "--project-name", self.project, "--file", FILE, *arguments, environ=PORTS)

    def containers(self, service: str) -> list[str]:
        found = self.compose("ps", "--all", "--quiet", service).split()
        assert found, service
        return found

    def container(self, service: str) -> str:
        (found,) = self.containers(service)
        return found

    @cached_property
    def ports(self) -> dict[str, str]:
        """Return the address on loopback at which each port of the Pod is published."""
        bindings = inspect(self.container("pod"))["NetworkSettings"]["Ports"]
        return {port: f"http://127.0.0.1:{published[0]['HostPort']}" for port, published in bindings.items()}

    def url(self, port: int) -> str:
        return self.ports[f"{port}/tcp"]

    def get(self, path: str, port: int = 8080) -> httpx.Response:
        return self.client.get(self.url(port) + path)

    def health(self) -> httpx.Response | None:
        try:
            return self.get("/health", 8081)
        except httpx.TransportError:
            return None

    def wait_health(self, status: int) -> httpx.Response:
        def has_status() -> httpx.Response | None:
            response = self.health()
            return response if response is not None and response.status_code == status else None

        return wait_until(has_status, f"{status} from /health", PATIENCE)

    def replica(self) -> str:
        """Request an offer, and return the name of the replica that served it."""
        response = self.get("/shop/offer?id=7")
        assert response.status_code == 200, response.text
        found = re.search(r'"replica": "(\w+)"', response.text)
        assert found is not None, response.text
        return found[1]

    def visit(self, number: int) -> list[str]:
        """Send requests that differ in the access log. Return their names."""
        names = [uuid.uuid4().hex for _ in range(number)]
        app = self.url(8080)
        for name in names:
            assert self.client.get(f"{app}/shop/?visit={name}").status_code == 200
        return names

    def received(self) -> list[str]:
        """Return the lines that arrived at the log receiver."""
        return docker("logs", self.container("logreceiver")).splitlines()

    def wait_received(self, names: list[str]) -> list[str]:
        def all_there() -> list[str] | None:
            text = "\n".join(lines := self.received())
            return lines if all(name in text for name in names) else None

        return wait_until(all_there, f"{len(names)} log lines at the receiver", PATIENCE)

    def assert_received_once(self, names: list[str]) -> None:
        self.wait_received(names)
        lines = self.wait_received(self.visit(1))  # a later line arrives later, so no repeat can still arrive
        assert {name: sum(name in line for line in lines) for name in names} == dict.fromkeys(names, 1)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        shop = Shop(f"sidecars-test-{uuid.uuid4().hex[:8]}", client)
        try:
            shop.compose("up", "--build", "--detach", "--quiet-pull")
            shop.wait_health(200)
            yield shop
        except BaseException:
            print(shop.compose("ps", "--all"), shop.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - what went wrong
            raise
        finally:
            shop.compose("down", "--volumes", "--timeout", "5")


LISTING = """
import glob, zipfile
for war in sorted(glob.glob("*.war", root_dir="/webapps")):
    print(war, "offer.jsp" in zipfile.ZipFile("/webapps/" + war).namelist())
"""


def test_a_war_of_ones_own_is_published_beside_the_pages_that_the_probes_ask_for(tmp_path: Path) -> None:
    tree = tmp_path / "tomcat"
    shutil.copytree(FILE.parent, tree)
    for name in ("mine", "shop"):
        with zipfile.ZipFile(tree / "artifacts" / f"{name}.war", "w") as war:
            war.writestr("WEB-INF/web.xml", "<web-app/>")
            war.writestr("index.html", name)
    image = docker("build", "--quiet", "--target", "war", tree).strip()
    volume = docker("volume", "create").strip()
    try:
        docker("run", "--rm", "--volume", f"{volume}:/webapps", image)
        listed = docker(
            "run", "--rm", "--entrypoint", "python3", "--volume", f"{volume}:/webapps", image, "-c", LISTING
        )
    finally:
        docker("volume", "rm", volume)
    assert listed.splitlines() == ["mine.war False", "monitor.war False", "shop.war False"]


def test_the_page_of_the_war_is_served_by_tomcat(shop: Shop) -> None:
    page = shop.get("/shop/")
    assert page.status_code == 200
    assert "<h1>shop</h1>" in page.text
    assert "Apache Tomcat/10.1" in page.text
    assert shop.get("/shop/shop.css").headers["content-type"].startswith("text/css")


def test_the_warcopier_has_ended_with_0_before_tomcat_started(shop: Shop) -> None:
    ended = state(shop.container("warcopier"))
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 0)
    assert ended["FinishedAt"] < state(shop.container("tomcat"))["StartedAt"]


def test_the_app_publishes_metrics_and_no_health(shop: Shop) -> None:
    metrics = shop.get("/monitor/metrics")
    assert metrics.headers["content-type"].replace(" ", "").startswith("text/plain;version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(metrics.text)}
    assert families["tomcat_requests"].samples[0].value > 0
    assert metrics.text.endswith("\n")
    assert shop.get("/health").status_code == 404
    assert shop.get("/shop/health").status_code == 404


def test_the_adapter_answers_health_from_the_metrics_of_the_app(shop: Shop) -> None:
    assert shop.get("/health", 8081).status_code == 200


def test_the_app_reaches_all_replicas_of_the_backend_through_one_address_on_localhost(shop: Shop) -> None:
    seen: set[str] = set()
    wait_until(lambda: seen.add(shop.replica()) or len(seen) == 3, "responses from three replicas", PATIENCE)  # type: ignore[func-returns-value] # add, then look
    assert seen == {inspect(container)["Config"]["Hostname"] for container in shop.containers("backend")}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_no_request_fails_while_a_replica_goes_away_and_it_is_used_again_when_it_is_back(shop: Shop, how: str) -> None:
    victim = shop.containers("backend")[0]
    name = inspect(victim)["Config"]["Hostname"]
    wait_until(lambda: shop.replica() == name, "a response from the replica that is to go", PATIENCE)
    with traffic(shop, clients=4):  # the status of each response must be 200
        docker(how, victim)
        assert name not in {shop.replica() for _ in range(60)}
        docker("start", victim)
        wait_until(lambda: shop.replica() == name, "a response from the replica that is back", PATIENCE)


@contextmanager
def traffic(shop: Shop, clients: int) -> Iterator[None]:
    """Request offers from several clients, one after another, during the context."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            shop.replica()

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask) for _ in range(clients)]
        try:
            yield
        finally:
            over.set()
        for client in asking:
            client.result()


def test_every_line_of_the_access_log_arrives_exactly_once(shop: Shop) -> None:
    shop.assert_received_once(shop.visit(50))


def test_tomcats_own_log_arrives_too(shop: Shop) -> None:
    shop.wait_received(["Server startup in"])


def test_a_stack_trace_arrives_as_one_event(shop: Shop) -> None:
    assert shop.get("/shop/broken").status_code == 500
    lines = shop.wait_received(["java.lang.NumberFormatException"])
    (event,) = (record["message"] for record in map(json.loads, lines) if "NumberFormatException" in record["message"])
    assert len([line for line in event.splitlines() if line.lstrip().startswith("at ")]) > 10
    assert not [line for line in lines if json.loads(line)["message"].lstrip().startswith("at ")]


def test_health_is_503_while_every_request_fails_and_alive_stays_200_so_tomcat_is_not_restarted(
    shop: Shop,
) -> None:
    def fail() -> bool:
        assert shop.get("/shop/broken").status_code == 500
        response = shop.health()
        return response is not None and response.status_code == 503 and "errors" in response.text

    wait_until(fail, "503 from /health while every request fails", PATIENCE)
    assert shop.get("/alive", 8081).status_code == 200

    def recover() -> bool:
        shop.visit(50)
        response = shop.health()
        return response is not None and response.status_code == 200

    wait_until(recover, "200 from /health once requests succeed", PATIENCE)


def test_what_arrives_is_a_json_object_a_line(shop: Shop) -> None:
    assert all(isinstance(json.loads(line), dict) for line in shop.received())


def test_every_line_arrives_exactly_once_although_the_logshipper_was_restarted_meanwhile(shop: Shop) -> None:
    container = shop.container("logshipper")
    names = shop.visit(20)
    docker("stop", container)
    names += shop.visit(20)  # the logshipper does not run yet
    docker("start", container)
    names += shop.visit(20)
    shop.assert_received_once(names)


def test_every_line_arrives_exactly_once_although_the_receiver_was_away_for_a_while(shop: Shop) -> None:
    container = shop.container("logreceiver")
    names = shop.visit(10)
    shop.wait_received(names)
    docker("stop", container)
    names += shop.visit(20)
    docker("start", container)
    shop.assert_received_once(names)


def test_health_is_503_with_a_reason_while_tomcat_hangs_and_200_when_it_goes_on(shop: Shop) -> None:
    container = shop.container("tomcat")
    docker("pause", container)  # the kernel still accepts connections: the worst kind of outage
    try:
        response = shop.wait_health(503)
        assert "did not answer within" in response.text
        assert response.elapsed.total_seconds() < 10  # far above the adapter's deadline, far below a hanging client's
    finally:
        docker("unpause", container)
    shop.wait_health(200)


def test_every_container_has_a_user_of_its_own_a_read_only_root_and_no_capabilities(shop: Shop) -> None:
    users: dict[str, str] = {}
    for service in [*POD, *OTHERS]:
        for container in shop.containers(service):
            config = inspect(container)
            assert config["HostConfig"]["ReadonlyRootfs"] is True, service
            assert config["HostConfig"]["CapDrop"] == ["ALL"], service
            users[service], _, group = config["Config"]["User"].partition(":")
            assert group == "65532", service
            if config["State"]["Running"]:  # the processes that run:
                assert _uids(container) == {users[service]}, service
    assert len({users[service] for service in POD}) == len(POD)
    assert "0" not in users.values()


def _uids(container: str) -> set[str]:
    return {line.split()[0] for line in docker("top", container, "-eo", "uid,pid").splitlines()[1:]}


def test_only_the_pod_publishes_ports_and_only_on_loopback(shop: Shop) -> None:
    for service in [*POD, *OTHERS]:
        for container in shop.containers(service):
            published = inspect(container)["NetworkSettings"]["Ports"] or {}
            hosts = {binding["HostIp"] for bindings in published.values() for binding in bindings or []}
            assert hosts == ({"127.0.0.1"} if service == "pod" else set()), service


@pytest.mark.parametrize("port", [9912, 9913, 9914])
def test_every_sidecar_says_on_its_admin_port_that_it_lives_and_is_ready(shop: Shop, port: int) -> None:
    assert shop.get("/livez", port).status_code == 200
    wait_until(lambda: shop.get("/readyz", port).status_code == 200, "ready", PATIENCE)
    assert "sidecar_build_info" in shop.get("/metrics", port).text


def test_all_end_in_seconds_and_ours_with_0_and_tomcats_last_words_are_delivered(shop: Shop) -> None:
    shop.compose("stop")
    for service in OURS:  # the exit code after SIGKILL, at the end of the 30 s of grace, would be 137
        assert state(shop.container(service))["ExitCode"] == 0, service
    assert {state(container)["ExitCode"] for container in shop.containers("backend")} == {0}
    assert any("Stopping service [Catalina]" in line for line in shop.received())
