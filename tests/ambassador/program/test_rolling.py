"""Real servers that are slow, fail, or are killed and restarted in turn under load, while the client counts errors.

Each nginx or HAProxy is a process on a port that stays the same, like a replica of a Service.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ambassador.nameserver import name_server
from tests.ambassador.support import Ambassador, load
from tests.conftest import Start
from tests.support import free_port, peer, responds, wait_until

NGINX = """
user root; master_process off; daemon off; pid {folder}/{port}.pid; error_log {folder}/{port}.error;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 50;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen {host}:{port}; location / {{ return 200 "ok"; }} }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend app
  bind {host}:{port}
  {rules}
"""
SLOW = "tcp-request inspect-delay 300ms\n  tcp-request content accept if WAIT_END\n  option httpclose\n"
RESPONSES = "  http-request return status 200 content-type text/plain string ok"
FAILING = "http-request return status 503 content-type text/plain string no"
BREAKING = "http-request reject"


class Replica:
    """A server that can be stopped and started."""

    def __init__(self, folder: Path, command: list[str], config: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port or free_port()
        self._file = folder / f"{host}-{self.port}.conf"
        self._file.write_text(config.replace("{port}", str(self.port)).replace("{host}", host))
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        silent = subprocess.DEVNULL
        process = subprocess.Popen([*self._command, str(self._file)], stdin=silent, stdout=silent, stderr=silent)
        self._process = process
        wait_until(lambda: responds(self.port, self.host) or process.poll() is not None, "a replica that listens")
        assert process.poll() is None, self._file

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


@pytest.fixture
def running() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


Make = Callable[..., Replica]


@pytest.fixture
def nginx(tmp_path: Path, running: contextlib.ExitStack) -> Make:
    def make(**where: str | int) -> Replica:
        config = NGINX.replace("{folder}", str(tmp_path)).replace("{{", "{").replace("}}", "}")
        made = Replica(tmp_path, [peer("nginx"), "-p", str(tmp_path), "-c"], config, **where)  # type: ignore[arg-type] # host and port
        running.callback(made.stop)
        return made

    return make


@pytest.fixture
def haproxy(tmp_path: Path, running: contextlib.ExitStack) -> Make:
    def make(rules: str) -> Replica:
        made = Replica(tmp_path, [peer("haproxy"), "-db", "-f"], HAPROXY.replace("{rules}", rules))
        running.callback(made.stop)
        return made

    return make


def joined(replicas: list[Replica]) -> str:
    return ",".join(replica.url for replica in replicas)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT], ids=["stopped", "killed", "drained"])
def test_replicas_restarted_one_after_the_other_cost_no_request(start: Start, nginx: Make, how: int) -> None:
    replicas = [nginx() for _ in range(3)]
    ambassador = Ambassador(start, joined(replicas), EJECT_FOR="200ms")
    restarted = 0

    def rolling(count: int) -> bool:
        nonlocal restarted
        if restarted < 6 and count > (restarted + 1) * 300:
            replica = replicas[restarted % 3]
            replica.stop(how)
            replica.start()
            restarted += 1
        return restarted == 6 and count > 2400

    assert load(ambassador, clients=8, until=rolling) == []
    assert ambassador.metric("ambassador_upstream_ejections_total") >= 1


@pytest.mark.parametrize("balance", ["ewma", "round_robin", "least_request", "random", "hash:source"])
def test_a_slow_a_failing_and_a_breaking_replica_cost_no_request_however_it_is_balanced(
    start: Start, nginx: Make, haproxy: Make, balance: str
) -> None:
    replicas = [nginx(), haproxy(SLOW + RESPONSES), haproxy(FAILING), haproxy(BREAKING)]
    ambassador = Ambassador(start, joined(replicas), BALANCE=balance, RETRIES="3", EJECT_FOR="200ms")
    assert load(ambassador, clients=8, until=lambda count: count > 300) == []


def test_replicas_that_move_to_new_addresses_cost_no_request(start: Start, nginx: Make, tmp_path: Path) -> None:
    """DNS names a new replica and the old one ends at once. The next one follows when the new replica serves."""
    port = free_port()
    old = [nginx(host=f"127.0.0.{number}", port=port) for number in (2, 3, 4)]
    with name_server() as zone:
        zone.set_records("orders.example", *(replica.host for replica in old))
        ambassador = Ambassador(
            start, f"http://orders.example:{port}", RESOLV_CONF=str(zone.resolv_conf(tmp_path)), DNS_MIN_TTL="100ms"
        )
        there = list(old)
        moved = 0

        def serves(replica: Replica) -> bool:
            return ambassador.metric("ambassador_endpoint_requests_total", endpoint=f"{replica.host}:{port}") > 0

        def rolling(count: int) -> bool:
            nonlocal moved
            if moved < 3 and count > 200 and (not moved or serves(there[moved - 1])):
                there[moved] = nginx(host=f"127.0.0.{moved + 5}", port=port)
                zone.set_records("orders.example", *(replica.host for replica in there))
                old[moved].stop(signal.SIGQUIT)
                moved += 1
            return moved == 3 and serves(there[2])

        assert load(ambassador, clients=8, until=rolling) == []
        wait_until(lambda: ambassador.metric("ambassador_upstream_endpoints_leaving") == 0, "nothing left behind")
