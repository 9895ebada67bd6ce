"""The admin endpoints of a real program."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from sidecars import chassis
from tests.conftest import Start
from tests.support import PATIENCE, Program, free_port, get

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
ODD = "application/openmetrics-text; version=1.0.0x"


@dataclass
class Running:
    program: Program
    url: str

    def get(self, path: str, **headers: str) -> httpx.Response:
        return get(self.url + path, **headers)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One program for all tests that only send requests."""
    port = free_port()
    environ = {"DEMO_DO": "admin", "DEMO_ADMIN_LISTEN": f"127.0.0.1:{port}", "DEMO_PASSWORD": "hunter2"}
    program = Program(["-m", "tests.chassis.programs"], environ, tmp_path_factory.mktemp("admin"))
    try:
        program.wait_ready(port)
        yield Running(program, f"http://127.0.0.1:{port}")
    finally:
        program.kill()


def test_livez_and_readyz_say_yes(running: Running) -> None:
    for path, words in (("/livez", "alive\n"), ("/readyz", "ready\n")):
        response = running.get(path)
        assert (response.status_code, response.text) == (200, words)


def test_metrics_tell_the_process_and_the_build(running: Running) -> None:
    families = {family.name: family for family in prometheus(running.get("/metrics").text)}

    [sample] = families["sidecar_build_info"].samples
    assert sample.labels == {"name": "demo", "version": chassis.__version__}
    assert families["process_resident_memory_bytes"].samples[0].value > 0


def test_metrics_come_in_prometheus_text_or_in_openmetrics(running: Running) -> None:
    plain = running.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert not plain.text.endswith("# EOF\n")

    negotiated = running.get("/metrics", Accept=f"{OPEN_METRICS},text/plain;q=0.5")
    assert negotiated.headers["Content-Type"].startswith(OPEN_METRICS)
    assert negotiated.text.endswith("# EOF\n")
    assert list(open_metrics(negotiated.text))  # type: ignore[no-untyped-call] # the library's parser has no types


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "nonsense", ";;;,,,", "text/html;q=nan", "x" * 4000, ODD]
)
def test_whatever_is_accepted_metrics_come(running: Running, accept: str) -> None:
    response = running.get("/metrics", Accept=accept)

    assert response.status_code == 200
    assert "sidecar_build_info" in response.text


def test_status_tells_version_settings_and_what_the_sidecar_says(running: Running) -> None:
    page: dict[str, Any] = running.get("/status").json()

    assert page["name"] == "demo"
    assert page["version"] == chassis.__version__
    assert page["pid"] == running.program.process.pid
    assert page["uptime_seconds"] >= 0
    assert page["not_ready"] == page["not_alive"] == []
    assert page["settings"]["DEMO_DO"] == "admin"
    assert page["mood"] == "fine"


def test_no_endpoint_shows_a_secret(running: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/status", "/nowhere"):
        assert "hunter2" not in running.get(path).text
    assert running.get("/status").json()["settings"]["DEMO_PASSWORD"] == "***"
    assert "hunter2" not in running.program.stderr


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/status"])
def test_no_endpoint_changes_anything(running: Running, method: str, path: str) -> None:
    response = httpx.request(method, running.url + path, content=b"x", trust_env=False, timeout=PATIENCE)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/health", "/metrics/", "/status/../livez/x", "/%2e%2e/etc/passwd"])
def test_a_wrong_path_is_told_the_right_ones(running: Running, path: str) -> None:
    response = running.get(path)

    assert response.status_code == 404
    for right in ("/livez", "/readyz", "/metrics", "/status"):
        assert right in response.text


def test_no_answer_may_be_kept_by_a_cache(running: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/status", "/nowhere"):
        assert running.get(path).headers["Cache-Control"] == "no-store"
    assert httpx.post(running.url + "/livez", trust_env=False, timeout=PATIENCE).headers["Cache-Control"] == "no-store"


def test_what_is_no_request_is_refused_and_not_logged(running: Running) -> None:
    where = httpx.URL(running.url)
    with socket.create_connection((where.host, where.port or 0), timeout=PATIENCE) as client:
        client.sendall(b"hunter2 \xff\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")

    assert running.get("/livez").is_success
    assert "hunter2" not in running.program.stderr


def test_an_idle_connection_does_not_hold_up_the_end(start: Start) -> None:
    port = free_port()
    program = start("tests.chassis.programs", DEMO_DO="admin", DEMO_ADMIN_LISTEN=f"127.0.0.1:{port}")
    program.wait_ready(port)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096)

        assert program.stop() == 0


def test_without_an_address_nothing_is_opened(start: Start) -> None:
    program = start("tests.chassis.programs", DEMO_DO="admin")
    program.wait_logged("running")

    assert program.stop() == 0
    assert not program.logged("admin endpoints answer")


def test_an_address_in_use_is_69_and_names_the_variable_and_the_user_that_has_it(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        program = start("tests.chassis.programs", DEMO_DO="admin", DEMO_ADMIN_LISTEN=address)

        assert program.wait() == 69
    held = f"{address} is in use by a process of uid {os.getuid()}"
    assert program.logs[-1]["msg"] == f"DEMO_ADMIN_LISTEN={address}: cannot listen there: {held}"
