"""The twin of examples/tomcat: its WAR and the settings of its pod.yaml, with the sidecars as processes.

A laptop has no Pod: mount paths are folders, ports are free ones, the names of Services are addresses, and Tomcat is a
small server. A real Tomcat is in tests/images, which needs an engine. Everything else is as in the example.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import Start
from tests.support import ROOT, free_port, get, wait_until

EXAMPLE = ROOT / "examples" / "tomcat"


def environment(name: str) -> dict[str, str]:
    """Return the variables of the container in pod.yaml, unchanged."""
    pod = next(iter(yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text())))
    container = next(item for item in pod["spec"]["initContainers"] if item["name"] == name)
    return {item["name"]: item["value"] for item in container.get("env", []) if "value" in item}


TRACE = (
    "31-Jan-2026 12:00:00.000 SEVERE [exec-1] org.apache.catalina.core.StandardWrapperValve.invoke failed\n"
    '\tjava.lang.NumberFormatException: For input string: "this is no number"\n'
    "\t\tat java.base/java.lang.Integer.parseInt(Integer.java:652)\n"
    "\t\tat org.apache.jsp.broken_jsp._jspService(broken_jsp.java:101)\n"
)


class World(ThreadingHTTPServer):
    """One server. Its response to every GET is `page`; it keeps the lines of every POST."""

    daemon_threads = True

    def __init__(self, page: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page.encode()
        self.asked: list[str] = []
        self.posted: list[dict[str, object]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: World
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted += [json.loads(line) for line in body.splitlines()]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log no requests."""


@pytest.fixture
def world() -> Iterator[type[World]]:
    made: list[World] = []

    class Made(World):
        def __init__(self, page: str) -> None:
            super().__init__(page)
            made.append(self)

    yield Made
    for server in made:
        server.shutdown()
        server.server_close()


def test_the_war_is_packed_and_published_and_is_the_same_every_time(start: Start, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        places = [EXAMPLE / "webapp", folder / "shop.war", EXAMPLE / "monitor", folder / "monitor.war"]
        subprocess.run([sys.executable, EXAMPLE / "pack.py", *map(str, places)], check=True)
    assert (tmp_path / "one" / "shop.war").read_bytes() == (tmp_path / "two" / "shop.war").read_bytes()
    (tmp_path / "webapps").mkdir()
    environ = {"WARCOPIER_SOURCE": str(tmp_path / "one"), "WARCOPIER_TARGET": str(tmp_path / "webapps")}
    assert start("warcopier", **(environment("warcopier") | environ)).wait() == 0
    for name, pages in (("shop", {"index.jsp", "offer.jsp", "broken.jsp"}), ("monitor", {"metrics.jsp"})):
        with zipfile.ZipFile(tmp_path / "webapps" / f"{name}.war") as war:
            assert pages | {"WEB-INF/web.xml"} <= set(war.namelist())


def metrics(requests: int, errors: int) -> str:
    """Return the page of monitor/metrics.jsp after so many requests and errors."""
    return (
        f"# TYPE tomcat_requests_total counter\ntomcat_requests_total {requests}\n"
        f"# TYPE tomcat_errors_total counter\ntomcat_errors_total {errors}\n"
        "# TYPE jvm_heap_used_bytes gauge\njvm_heap_used_bytes 1e7\n"
        "# TYPE jvm_heap_max_bytes gauge\njvm_heap_max_bytes 1e8\n"
    )


def test_health_is_a_verdict_on_the_requests_and_alive_only_asks_whether_tomcat_answers(
    start: Start, world: type[World]
) -> None:
    app, port, admin = world(metrics(0, 0)), free_port(), free_port()
    environ = environment("adapter")
    assert environ["ADAPTER_TARGET"] == "http://127.0.0.1:8080"
    environ |= {"ADAPTER_TARGET": app.url, "ADAPTER_LISTEN": f"127.0.0.1:{port}"}
    start("adapter", **environ, ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{admin}").wait_ready(admin)

    def ask(path: str) -> httpx.Response:
        return get(f"http://127.0.0.1:{port}{path}")

    assert ask("/health").status_code == 200, "a Tomcat without requests is healthy"
    app.page = metrics(1000, 100).encode()
    assert ask("/health").status_code == 200, "an error in ten requests is no failure"
    app.page = metrics(9000, 8100).encode()
    response = ask("/health")
    assert response.status_code == 503
    assert "errors" in response.text
    assert ask("/alive").status_code == 200
    assert set(app.asked) == {"/monitor/metrics"}


def test_the_ambassador_reaches_every_replica_of_the_backend(start: Start, world: type[World]) -> None:
    replicas, port, admin = [world(f"replica {number}") for number in range(3)], free_port(), free_port()
    environ = environment("ambassador")
    assert environ["AMBASSADOR_UPSTREAM"] == "http://backend:8080"
    environ |= {"AMBASSADOR_UPSTREAM": ",".join(replica.url for replica in replicas)}
    environ |= {"AMBASSADOR_LISTEN": f"127.0.0.1:{port}", "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    start("ambassador", **environ).wait_ready(admin)

    def every_replica_was_asked() -> bool:
        response = get(f"http://127.0.0.1:{port}/offers/1")
        assert response.status_code == 200
        return all(replica.asked for replica in replicas)

    wait_until(every_replica_was_asked, "each of the three replicas answers")


def test_the_logshipper_finds_tomcats_logs_by_their_names(start: Start, world: type[World], tmp_path: Path) -> None:
    receiver, admin = world(""), free_port()
    for folder in ("logs", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "logs" / "localhost_access_log.2026-01-31.txt").write_text("GET /shop/ 200\n")
    (tmp_path / "logs" / "catalina.2026-01-31.log").write_text("Server startup in [940] milliseconds\n")
    (tmp_path / "logs" / "localhost.2026-01-31.log").write_text(TRACE)
    (tmp_path / "logs" / "unrelated.tmp").write_text("not a log\n")
    environ = environment("logshipper")
    environ = {name: value.replace("/logs/", f"{tmp_path}/logs/") for name, value in environ.items()}
    environ |= {"LOGSHIPPER_SINK": receiver.url, "LOGSHIPPER_STATE_DIR": str(tmp_path / "state"), "POD_NAME": "shop"}
    program = start("logshipper", **environ, LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{admin}")
    wait_until(lambda: len(receiver.posted) == 3, "two lines and a stack trace arrive")
    assert program.stop() == 0
    assert {event["message"] for event in receiver.posted} == {
        "GET /shop/ 200",
        "Server startup in [940] milliseconds",
        TRACE.rstrip(),
    }
    assert {event["pod"] for event in receiver.posted} == {"shop"}
