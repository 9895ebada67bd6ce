"""The adapter as a process, from start to stop."""

from __future__ import annotations

import signal
import socket
import threading

import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import METRICS, PROMPT, App, hang, hold_until, respond
from tests.conftest import Start
from tests.support import PATIENCE, free_port, get, wait_until


def test_it_is_ready_without_the_app(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}")

    assert get(f"http://127.0.0.1:{running.admin}/readyz").is_success
    assert running.status()["routes"]["/health"]["last"] is None


def test_status_tells_each_route_and_how_it_is(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS), "/ping": respond(b"no", "500 Oops")}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/ping")
        running.get("/health")
        running.get("/live")
        page = running.status()["routes"]

    assert page["/health"]["asks"] == {"default": f"{app.url}/metrics"}
    assert page["/health"]["last"]["status"] == 200
    assert page["/health"]["last_error"] is None
    assert page["/live"]["last"]["good"] is False
    assert page["/live"]["last_error"]["reason"] == "the app answered 500"


def test_an_idle_adapter_stops_at_once_with_exit_code_0(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        running = adapter(app.url)
        idle = socket.create_connection(("127.0.0.1", running.port))
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536)
        half = socket.create_connection(("127.0.0.1", running.port))
        half.sendall(b"GET /hea")

        assert running.program.stop(patience=PROMPT) == 0
        idle.close()
        half.close()
    assert running.program.logged("drained")


def test_a_probe_in_progress_is_answered_before_the_adapter_leaves(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, respond(METRICS))}) as app:
        running = adapter(app.url, ADAPTER_TIMEOUT="20s")
        with socket.create_connection(("127.0.0.1", running.port)) as prober:
            prober.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: app.seen["/metrics"], "the request to reach the app")
            running.program.signal(signal.SIGTERM)
            running.program.wait_logged("draining")
            release.set()
            received = b""
            while part := prober.recv(65536):
                received += part
        assert received.endswith(METRICS)
        assert running.program.wait() == 0


def test_a_probe_that_hangs_is_cut_at_the_drain_deadline(adapter: StartAdapter) -> None:
    with App({"/metrics": hang()}) as app:
        running = adapter(app.url, ADAPTER_TIMEOUT="1h", ADAPTER_DRAIN_TIMEOUT="200ms")
        with socket.create_connection(("127.0.0.1", running.port)) as prober:
            prober.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: app.seen["/metrics"], "the request to reach the app")

            assert running.program.stop(patience=PROMPT) == 0
    assert running.program.logged("the drain was cut short")
    assert "Traceback" not in running.program.stderr


def test_bad_settings_are_all_told_and_nothing_is_opened(start: Start) -> None:
    program = start("adapter", ADAPTER_TARGET="ftp://x", ADAPTER_ROUTES="health", ADAPTER_TIMOUT="1s")

    assert program.wait() == 78
    for name in ("ADAPTER_TARGET=***: expected http:", "ADAPTER_ROUTES=***: ", "ADAPTER_TIMOUT is not a setting"):
        assert name in program.logs[-1]["msg"]


@pytest.mark.parametrize("name", ["ADAPTER_LISTEN", "ADAPTER_ADMIN_LISTEN"])
def test_an_address_in_use_is_told_with_exit_code_69(start: Start, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ports = {"ADAPTER_LISTEN": f"127.0.0.1:{free_port()}", "ADAPTER_ADMIN_LISTEN": "off"}

        program = start("adapter", **{**ports, name: address})

        assert program.wait() == 69
    reason = f"{name}={address}: cannot listen there: {address} is in use by a process of uid "
    assert program.logs[-1]["msg"].startswith(reason)


def test_a_unix_socket_can_be_listened_on(start: Start, tmp_path: object) -> None:
    path = f"{tmp_path}/adapter.sock"
    with App({"/metrics": respond(METRICS)}) as app:
        program = start("adapter", ADAPTER_LISTEN=f"unix:{path}", ADAPTER_TARGET=app.url, ADAPTER_ADMIN_LISTEN="off")
        program.wait_logged("listening")
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), trust_env=False, timeout=PATIENCE) as client:
            assert client.get("http://adapter/health").content == METRICS
        assert program.stop() == 0
