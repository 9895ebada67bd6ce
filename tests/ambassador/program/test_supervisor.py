"""Several workers behind one port are one ambassador, even if one of them ends or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from sidecars.chassis.accept.listen import _has_ipv6
from tests.ambassador.loads import sigterm_under_load
from tests.ambassador.support import GET, Ambassador, Peer, answering, backends
from tests.conftest import Start
from tests.support import PATIENCE, free_port, get, wait_until


def status(ambassador: Ambassador) -> dict[str, Any]:
    page: dict[str, Any] = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
    return page


def pids(ambassador: Ambassador) -> list[int]:
    return [worker["pid"] for worker in status(ambassador)["workers"]]


def is_ready(ambassador: Ambassador) -> bool:
    return get(f"http://127.0.0.1:{ambassador.admin}/readyz").is_success


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_all_workers_serve_and_are_counted_as_one(start: Start) -> None:
    with backends(answering()) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        apps: list[Peer] = []

        def requests() -> list[int]:
            return [worker["upstreams"]["default"]["requests"] for worker in status(ambassador)["workers"]]

        def both_serve() -> bool:
            """Open one more connection: on a busy machine a worker may sleep while the other one accepts many."""
            apps.append(app := stack.enter_context(ambassador.connect()))
            for _ in range(5):
                app.send(GET)
                assert app.response()[0] == 200
            return all(requests())

        wait_until(both_serve, "a request at each worker")
        opened = len(apps)
        wait_until(
            lambda: ambassador.metric("ambassador_requests_total", code="200") == 5 * opened, "all requests counted"
        )
        wait_until(
            lambda: ambassador.metric("ambassador_downstream_connections_open") == opened, "all connections counted"
        )
        upstream = status(ambassador)["upstreams"]["default"]
        assert sum(requests()) == upstream["requests"] == upstream["http"]["latency"]["+Inf"] == 5 * opened
        (endpoint,) = upstream["targets"][0]["endpoints"]
        assert endpoint["requests"] == endpoint["http"]["latency"]["+Inf"] == 5 * opened
        assert (endpoint["condition"], upstream["state"], upstream["endpoints_known"]) == ("serving", "ready", 1)
        shown = httpx.get(f"http://127.0.0.1:{ambassador.admin}/", trust_env=False, timeout=PATIENCE)
        assert backend.url.removeprefix("http://") in shown.text
        assert "Workers" in shown.text
        assert ambassador.metric("ambassador_upstream_endpoints") == 1
        assert ambassador.metric("ambassador_workers") == 2
        assert ambassador.metric("process_resident_memory_bytes") > ambassador.rss()


def test_a_worker_that_is_killed_is_started_again_and_the_others_go_on(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        for _ in range(20):
            assert ambassador.ask()[0] == 200
        wait_until(lambda: ambassador.metric("ambassador_requests_total") == 20, "all requests counted")
        first, second = pids(ambassador)
        os.kill(first, signal.SIGKILL)
        # New connections wait in the dead worker's queue, if the kernel chose it; none is refused.
        for _ in range(40):
            assert ambassador.ask()[0] == 200
        line = ambassador.program.wait_logged("a worker has ended; it is started again")
        assert (line["worker"], line["exit_code"]) == (1, -signal.SIGKILL)
        wait_until(lambda: is_ready(ambassador), "ready again")
        third, same = pids(ambassador)
        assert same == second
        assert third != first
        assert ambassador.metric("ambassador_worker_restarts_total") == 1
        wait_until(lambda: ambassador.metric("ambassador_requests_total") == 60, "the dead worker's counts among all")


def test_a_worker_that_hangs_makes_the_ambassador_not_alive(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        (pid, _) = pids(ambassador)
        os.kill(pid, signal.SIGSTOP)
        try:
            url = f"http://127.0.0.1:{ambassador.admin}/livez"
            response = wait_until(lambda: next((a for a in [get(url)] if a.is_error), None), "503")
            assert "worker 1: no beat" in response.text
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: get(url).is_success, "alive again")


def test_sigterm_drains_every_worker_under_load(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        workers = pids(ambassador)
        assert sigterm_under_load(ambassador, at=200, until=800) == []
        assert ambassador.program.wait() == 0
        assert not any(map(is_alive, workers))


def test_a_second_signal_cuts_the_drain_of_every_worker_short(start: Start) -> None:
    def hang(peer: Peer) -> None:
        peer.exactly(10**6)

    with backends(hang) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, WORKERS="2", DRAIN_TIMEOUT="60s")
        workers = pids(ambassador)
        for _ in range(8):
            stack.enter_context(ambassador.connect()).send(GET)
        wait_until(lambda: backend.connections == 8, "all requests upstream")
        ambassador.program.signal(signal.SIGTERM)
        ambassador.program.wait_logged("draining")
        assert ambassador.program.stop() == 0
        wait_until(lambda: not any(map(is_alive, workers)), "no worker left")


def test_workers_of_an_ambassador_that_is_killed_do_not_stay_behind(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        workers = pids(ambassador)
        ambassador.program.kill()
        wait_until(lambda: not any(map(is_alive, workers)), "no worker left")


def test_workers_share_a_unix_socket_evenly(start: Start, tmp_path: Path) -> None:
    path, admin = tmp_path / "orders.sock", free_port()
    with backends(answering()) as (backend,), contextlib.ExitStack() as stack:
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"unix:{path}",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_UPSTREAM=backend.url,
            AMBASSADOR_WORKERS="2",
        )
        program.wait_ready(admin)
        url = f"http://127.0.0.1:{admin}/status"

        def shares() -> list[int]:
            workers = get(url).json()["workers"]
            return [worker["upstreams"]["default"]["connections"] for worker in workers]

        def both_accept() -> bool:
            for _ in range(20):
                own = stack.enter_context(socket.socket(socket.AF_UNIX))
                own.connect(str(path))
                app = Peer(own)
                app.send(GET)
                assert app.response()[0] == 200
            return all(shares())

        wait_until(both_accept, "a connection at each worker")
        os.kill(get(url).json()["workers"][0]["pid"], signal.SIGKILL)
        program.wait_logged("a worker has ended; it is started again")
        program.wait_ready(admin)
        assert program.stop() == 0


def test_workers_share_a_port_evenly(start: Start) -> None:
    with backends(answering()) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, WORKERS="2")

        def shares() -> list[int]:
            return [worker["upstreams"]["default"]["connections"] for worker in status(ambassador)["workers"]]

        def are_even() -> bool:
            """Open 50 more: on a busy machine a worker may sleep while the other one accepts many, and catches up."""
            for _ in range(50):
                app = stack.enter_context(ambassador.connect())
                app.send(GET)
                assert app.response()[0] == 200
            return min(shares()) >= 0.35 * sum(shares())

        wait_until(are_even, "no worker has less than 35 % of the connections")


def test_no_process_of_the_same_user_can_share_the_port_of_workers(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if not _has_ipv6() and family == socket.AF_INET6:
                    continue  # nobody can listen there
                with pytest.raises(OSError, match="Address already in use"):
                    thief.bind((host, ambassador.port))


def test_a_port_in_use_is_an_error_for_workers_too(start: Start) -> None:
    with backends(answering()) as (backend,):
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{backend.port}",
            AMBASSADOR_ADMIN_LISTEN="off",
            AMBASSADOR_UPSTREAM="http://127.0.0.1:1",
            AMBASSADOR_WORKERS="2",
        )
        assert program.wait() == 69


def start_with_fault(start: Start, fault: str, workers: str, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Start an ambassador that cannot start; return its exit code and the errors that it logs."""
    bad, ca = folder / "bad.pem", folder / "ca.pem"
    bad.write_text("no certificate")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("me").cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    trustme.CA().issue_cert("me").private_key_pem.write_to_path(str(folder / "key.pem"))
    settings = {
        "an unreadable authority": {"TLS_CA": str(folder / "none.pem")},
        "a file that is none": {"TLS_CA": str(bad)},
        "a key of another certificate": {"TLS_CERT": str(folder / "cert.pem"), "TLS_KEY": str(folder / "key.pem")},
        "an authority of the proxy": {"PROXY": "https://10.0.0.9:3128", "PROXY_CA": str(bad)},
        "an authority of the collector": {
            "TRACES": "on",
            "TRACES_ENDPOINT": "https://10.0.0.9:4318",
            "TRACES_CA": str(bad),
        },
        "a file of a setting": {"TOKEN_FILE": str(folder / "none")},
    }[fault]
    program = start(
        "ambassador",
        AMBASSADOR_UPSTREAM="https://10.0.0.1",
        AMBASSADOR_LISTEN="127.0.0.1:0",
        AMBASSADOR_ADMIN_LISTEN="off",
        AMBASSADOR_WORKERS=workers,
        **{f"AMBASSADOR_{name}": value for name, value in settings.items()},
    )
    code = program.wait()
    return code, [
        {key: value for key, value in line.items() if key in ("message", "code", "exit_code")}
        for line in map(json.loads, program.stderr.splitlines())
        if line["level"] in ("error", "critical")
    ]


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        ("an unreadable authority", 74),
        ("a file that is none", 74),
        ("a key of another certificate", 74),
        ("an authority of the proxy", 74),
        ("an authority of the collector", 74),
        ("a file of a setting", 78),
    ],
)
def test_a_fault_at_the_start_ends_any_number_of_workers_with_the_same_sentence_and_exit_code(
    start: Start, tmp_path: Path, fault: str, exit_code: int
) -> None:
    alone, said = start_with_fault(start, fault, "1", tmp_path)
    assert (alone, len(said)) == (exit_code, 1)
    assert start_with_fault(start, fault, "3", tmp_path) == (alone, said)


def test_a_fault_that_comes_after_a_good_start_ends_no_ambassador(start: Start, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    with backends(answering()) as (backend,):
        upstream = f"http://127.0.0.1:{backend.port},https://127.0.0.1:{free_port()}"
        ambassador = Ambassador(start, upstream, WORKERS="2", TLS_CA=str(ca))
        first, second = pids(ambassador)
        ca.write_text("no certificate")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: str(ca) in ambassador.program.stderr, "the reason why it does not start again")
        assert not is_ready(ambassador)
        assert is_alive(second)
        trustme.CA().cert_pem.write_to_path(str(ca))
        wait_until(lambda: is_ready(ambassador), "ready again")


@pytest.mark.parametrize("count", ["0", "65", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(start: Start, count: str) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="http://orders", AMBASSADOR_WORKERS=count)
    assert program.wait() == 78
    assert f"AMBASSADOR_WORKERS={count}: expected a whole number" in program.stderr
