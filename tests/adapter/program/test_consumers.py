"""Real probers: HAProxy, Prometheus, the blackbox exporter and Nagios's check_http, each as Debian ships it.
The users' file is written by the real htpasswd.
"""

from __future__ import annotations

import csv
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.documents import SPRING
from tests.adapter.support import JSON, RULES, App, page, respond
from tests.support import PATIENCE, ROOT, free_port, get, peer, wait_until

Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a program that ends with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"peer-{len(running)}.log").open("wb") as output:
            running.append(subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output))
        return running[-1]

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


# -- HAProxy ------------------------------------------------------------------------------------------------------

HAPROXY = """
global
  stats socket {folder}/stats level admin
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:{port}
  default_backend apps
backend apps
  server app {app} check inter 100ms agent-check agent-addr 127.0.0.1 agent-port {agent} agent-inter 100ms
"""


def haproxy_row(folder: Path) -> dict[str, str]:
    """Return the status of the server in HAProxy."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "stats"))
        connection.sendall(b"show stat\n")
        received = b""
        while part := connection.recv(65536):
            received += part
    rows = csv.DictReader(received.decode().lstrip("# ").splitlines())
    return next(row for row in rows if row["svname"] == "app")


def test_haproxy_takes_a_server_out_and_back_as_the_agent_says(
    adapter: StartAdapter, begin: Begin, tmp_path: Path
) -> None:
    haproxy = peer("haproxy")
    agent, port = free_port(), free_port()
    with App({"/metrics": page(), "/": respond(b"hello")}) as app:
        adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_AGENT_LISTEN=f"127.0.0.1:{agent}")
        config = HAPROXY.format(folder=tmp_path, port=port, app=app.url.removeprefix("http://"), agent=agent)
        (tmp_path / "haproxy.cfg").write_text(config)
        begin(haproxy, "-f", str(tmp_path / "haproxy.cfg"), "-db")
        wait_until((tmp_path / "stats").exists, "HAProxy's socket")

        def told(status: str) -> dict[str, str] | None:
            row = haproxy_row(tmp_path)
            return row if row["status"].startswith(status) else None

        wait_until(lambda: told("UP"), "up")
        wait_until(lambda: haproxy_row(tmp_path)["agent_status"] == "L7OK", "an agent-check")
        assert get(f"http://127.0.0.1:{port}/").text == "hello"

        app.behaviours["/metrics"] = page(up=0)
        wait_until(lambda: told("DOWN"), "down")
        assert haproxy_row(tmp_path)["agent_status"] == "L7STS"
        assert get(f"http://127.0.0.1:{port}/").status_code == 503

        app.behaviours["/metrics"] = page(depth=50)
        wait_until(lambda: told("UP"), "up again, with a warning")


# -- Prometheus ---------------------------------------------------------------------------------------------------

PROMETHEUS = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: app
    authorization: {{credentials: t0ken}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def scraped_by_prometheus(begin: Begin, folder: Path, port: int) -> Callable[[str], str | None]:
    """Start a Prometheus that scrapes this port. Return a function from a query to its value; None without one."""
    web = free_port()
    (folder / "prometheus.yml").write_text(PROMETHEUS.format(port=port))
    begin(
        peer("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{web}",
    )

    def value(query: str) -> str | None:
        try:
            found = httpx.get(
                f"http://127.0.0.1:{web}/api/v1/query", params={"query": query}, trust_env=False, timeout=PATIENCE
            )
        except httpx.TransportError:
            return None
        result = found.json().get("data", {}).get("result") if found.is_success else None
        return str(result[0]["value"][1]) if result else None

    return value


def test_a_real_prometheus_scrapes_metrics_from_an_app_that_has_only_springs_health(
    adapter: StartAdapter, begin: Begin, tmp_path: Path
) -> None:
    behaviour = respond(json.dumps(SPRING).encode(), "503 Service Unavailable", JSON)
    with App({"/actuator/health": behaviour}) as app:
        running = adapter(app.url, "/metrics=/actuator/health", ADAPTER_MODE="metrics", ADAPTER_TOKEN="t0ken")
        value = scraped_by_prometheus(begin, tmp_path, running.port)

        wait_until(lambda: value('health_check_up{check="db/users"}') == "0", "a scrape")
        wait_until(lambda: value('up{job="app"}') == "1", "a scrape")
        wait_until(lambda: value('health_check_value{check="diskSpace",name="free"}') == "91300069376", "a scrape")

        app.behaviours["/actuator/health"] = respond(b'{"status": "UP"}', headers=JSON)
        wait_until(lambda: value("health_up") == "1", "the app is up")
    wait_until(lambda: value('up{job="app"}') == "0", "a scrape of an app that is gone fails")


SHOP = b"""\
# TYPE requests_total counter
requests_total{code="200"} 5
# TYPE seconds histogram
seconds_bucket{path="/a",le="1"} 1
seconds_bucket{path="/b",le="1"} 0
seconds_bucket{path="/a",le="+Inf"} 3
seconds_bucket{path="/b",le="+Inf"} 0
seconds_sum{path="/a"} 7.5
seconds_sum{path="/b"} 0
seconds_count{path="/a"} 3
seconds_count{path="/b"} 0
# TYPE falling_total counter
falling_total -1
{"shop.items","by.shelf"="\xc3\xa9"} 4
"""
CART = b"""\
# TYPE requests counter
requests_total{app="inner"} 7 # {trace="1"} 1
requests_created{app="inner"} 1700000000
# TYPE seconds gauge
seconds 9
# EOF
"""


def test_a_real_prometheus_takes_several_apps_as_one_page(adapter: StartAdapter, begin: Begin, tmp_path: Path) -> None:
    openmetrics = respond(CART, headers=b"Content-Type: application/openmetrics-text; version=1.0.0\r\n")
    with App({"/metrics": respond(SHOP)}) as shop, App({"/metrics": openmetrics}) as cart:
        running = adapter(
            "",
            "/metrics=/metrics",
            ADAPTER_MODE="metrics",
            ADAPTER_TOKEN="t0ken",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_CART_TARGET=cart.url,
        )
        value = scraped_by_prometheus(begin, tmp_path, running.port)

        wait_until(lambda: value('up{job="app"}') == "1", "a scrape")
        wait_until(lambda: value('requests_total{app="shop",code="200"}') == "5", "a scrape")
        wait_until(lambda: value('requests_total{app="cart",exported_app="inner"}') == "7", "a scrape")
        wait_until(lambda: value('seconds_bucket{app="shop",path="/a",le="+Inf"}') == "3", "a scrape")
        wait_until(lambda: value('seconds{app="cart"}') == "9", "a scrape")
        wait_until(lambda: value('falling_total{app="shop"}') == "-1", "a scrape")
        wait_until(lambda: value('shop_items{by_shelf="é"}') == "4", "a scrape")
        wait_until(
            lambda: value("count({app=~'.+'})") == str(11 + 3 + 2), "a scrape"
        )  # the shop's, the cart's, the adapter's


# -- htpasswd -----------------------------------------------------------------------------------------------------


def test_a_file_of_htpasswd_says_who_may_ask(adapter: StartAdapter, tmp_path: Path) -> None:
    file = tmp_path / "users"
    subprocess.run(
        [peer("htpasswd"), "-cbB", str(file), "prometheus", "hunter2"], check=True, capture_output=True, timeout=60
    )
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_BASIC_AUTH_FILE=str(file))
        url = f"http://127.0.0.1:{running.port}/health"

        def status(password: str) -> int:
            return httpx.get(url, auth=("prometheus", password), trust_env=False, timeout=60).status_code

        assert (status("hunter2"), status("hunter3")) == (200, 401)


# -- blackbox exporter --------------------------------------------------------------------------------------------

BLACKBOX = """
modules:
  health:
    prober: http
    timeout: 60s
    http: {fail_if_body_not_matches_regexp: ['"status":"(pass|warn)"'], headers: {Accept: application/health+json}}
  tcp_agent:
    prober: tcp
    timeout: 60s
    tcp: {query_response: [{expect: "^up"}]}
"""


def test_the_blackbox_exporter_probes_it(adapter: StartAdapter, begin: Begin, tmp_path: Path) -> None:
    blackbox = peer("prometheus-blackbox-exporter")
    web, agent = free_port(), free_port()
    (tmp_path / "blackbox.yml").write_text(BLACKBOX)
    begin(blackbox, f"--config.file={tmp_path}/blackbox.yml", f"--web.listen-address=127.0.0.1:{web}")
    with App({"/metrics": page()}) as app:
        running = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_AGENT_LISTEN=f"127.0.0.1:{agent}"
        )

        def succeeds(module: str, target: str) -> bool | None:
            try:
                asked = {"module": module, "target": target}
                found = httpx.get(f"http://127.0.0.1:{web}/probe", params=asked, trust_env=False, timeout=60)
            except httpx.TransportError:
                return None
            return "\nprobe_success 1\n" in found.text

        http = f"http://127.0.0.1:{running.port}/health"
        wait_until(lambda: succeeds("health", http) is not None, "the exporter answers")
        for up, expected in ((1, True), (0, False)):
            app.behaviours["/metrics"] = page(up=up)
            assert succeeds("health", http) is expected
            assert succeeds("tcp_agent", f"127.0.0.1:{agent}") is expected


# -- Nagios -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("up", "depth", "code", "word"), [(1, 3, 0, "OK"), (1, 50, 1, "WARNING"), (0, 3, 2, "CRITICAL")]
)
def test_nagios_gets_the_exit_code_and_the_line_that_the_readmes_plugin_makes_of_it(
    adapter: StartAdapter, tmp_path: Path, up: int, depth: int, code: int, word: str
) -> None:
    with App({"/metrics": page(up=up, depth=depth)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_FORMAT="nagios")
        plugin = plugin_of_the_page(running.port)
        done = subprocess.run([peer("sh"), "-c", plugin], capture_output=True, text=True, timeout=60, check=False)

        by_http = subprocess.run(
            [peer("check_http"), *f"-t 60 -H 127.0.0.1 -p {running.port} -u /health".split()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout.partition(" ")[0]) == (code, word)
    assert "|'db'=" in done.stdout
    assert by_http.returncode == code
    assert word in by_http.stdout


def test_a_plugin_without_an_adapter_is_unknown() -> None:
    done = subprocess.run(
        [peer("sh"), "-c", plugin_of_the_page(free_port())], capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 3


def plugin_of_the_page(port: int) -> str:
    page = (ROOT / "docs/reference/adapter/dialects.md").read_text()
    found = page.partition("#!/bin/sh\n")[2].partition("```")[0]
    assert "exit" in found
    return found.replace("127.0.0.1:8081", f"127.0.0.1:{port}").replace("-m 5 ", "-m 60 ")  # a busy machine is slow
