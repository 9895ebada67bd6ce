"""The adapter as a process, and an app that fails in every way: the prober gets 503 and the reason, in each mode."""

from __future__ import annotations

import gzip
import random
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.failures import DEADLINE, FAILURES
from tests.adapter.support import METRICS, Adapter, App, Behaviour, Exchange, page, respond, send_raw
from tests.support import free_port, get


def all_of(failing: dict[str, Behaviour]) -> str:
    """Return the setting of routes to every path of the app, each under the same path."""
    return ",".join(f"{path}={path}" for path in failing)


def probe_all(running: Adapter, paths: Iterable[str]) -> Iterator[tuple[str, httpx.Response, str]]:
    """Return, for each path, the response to a prober and words that must be in it. All are requested at once."""
    with ThreadPoolExecutor(len(FAILURES)) as pool:
        responses = pool.map(running.get, paths)
        yield from zip(paths, responses, (words for _, _, words in FAILURES.values()), strict=True)


def test_whatever_the_app_does_a_prober_gets_503_and_the_reason(
    adapter: StartAdapter, failing: dict[str, Behaviour]
) -> None:
    with App(failing) as app:
        running = adapter(app.url, all_of(failing), ADAPTER_TIMEOUT=DEADLINE, ADAPTER_MAX_BODY="64KiB")
        for path, response, words in probe_all(running, failing):
            assert response.status_code == 503, path
            assert response.text.startswith(f"{app.url}{path} "), path
            assert words in response.text, path
            assert len(response.content) < 4096
            assert running.status()["routes"][path]["last_error"]["reason"] in response.text
        for reason, times in Counter(reason for _, reason, _ in FAILURES.values() if reason).items():
            assert running.metric("adapter_upstream_errors_total", app="default", reason=reason) == times, reason
        assert get(f"http://127.0.0.1:{running.admin}/livez").is_success
        assert running.program.stop() == 0
    assert "Traceback" not in running.program.stderr


def test_whatever_the_app_does_a_verdict_is_503_and_the_reason(
    adapter: StartAdapter, failing: dict[str, Behaviour]
) -> None:
    with App(failing) as app:
        running = adapter(
            app.url, all_of(failing), ADAPTER_MODE="verdict", ADAPTER_TIMEOUT=DEADLINE, ADAPTER_MAX_BODY="64KiB"
        )
        for path, response, words in probe_all(running, failing):
            assert response.status_code == 503, path
            assert words in response.text, path
            assert len(response.content) < 4096
    assert "Traceback" not in running.program.stderr


@pytest.mark.parametrize("name", ["hangs in the body", "closes in a chunk", "announces a huge body", "sends noise"])
def test_whatever_the_app_does_metrics_are_503_and_the_reason(adapter: StartAdapter, name: str) -> None:
    behaviour, _, words = FAILURES[name]
    with App({"/metrics": behaviour}) as app:
        running = adapter(app.url, ADAPTER_MODE="metrics", ADAPTER_TIMEOUT=DEADLINE, ADAPTER_MAX_BODY="64KiB")
        response = running.get("/health")

    assert response.status_code == 503
    assert words in response.text


# -- an app that is not there -------------------------------------------------------------------------------------


def test_an_app_that_is_down_is_503_and_says_so(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}")

    response = running.get("/health")

    assert response.status_code == 503
    assert response.text.endswith("/metrics cannot be reached: connection refused; is the app up?\n")
    assert running.metric("adapter_upstream_errors_total", app="default", reason="refused") == 1
    assert running.metric("adapter_up", route="/health") == 0


def test_localhost_that_refuses_on_all_its_addresses_is_refused(adapter: StartAdapter) -> None:
    assert "connection refused" in adapter(f"http://localhost:{free_port()}").get("/health").text


def test_a_host_that_does_not_exist_is_503(adapter: StartAdapter) -> None:
    running = adapter("http://no-such-host.invalid", ADAPTER_TIMEOUT="10s")

    assert running.get("/health").status_code == 503
    errors = ("unresolved", "timeout")
    assert sum(running.metric("adapter_upstream_errors_total", app="default", reason=each) for each in errors) == 1


def test_an_app_whose_queue_is_full_is_503_at_the_deadline(adapter: StartAdapter) -> None:
    """A listener that accepts nothing, with a full backlog: the kernel drops further connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        response = adapter(f"http://127.0.0.1:{port}", ADAPTER_TIMEOUT="300ms").get("/health")
        for each in waiting:
            each.close()

    assert response.status_code == 503
    assert "did not answer within 300ms" in response.text


# -- log lines -----------------------------------------------------------------------------------------------


def test_a_route_that_fails_is_logged_once_and_so_is_its_return(adapter: StartAdapter) -> None:
    port = free_port()
    running = adapter(f"http://127.0.0.1:{port}")
    for _ in range(5):
        assert running.get("/health").status_code == 503
    with App({"/metrics": respond(METRICS)}, port=port):
        for _ in range(5):
            assert running.get("/health").status_code == 200

    failed = [line for line in running.program.logs if line["msg"] == "the route fails"]
    assert len(failed) == 1
    assert failed[0]["level"] == "warning"
    assert "connection refused" in failed[0]["reason"]
    assert [line["msg"] for line in running.program.logs].count("the route passes again") == 1


def test_a_body_of_the_app_is_never_logged(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(b"hunter2", "500 Oops")}) as app:
        running = adapter(app.url, ADAPTER_LOG_LEVEL="debug")
        assert running.get("/health").content == b"hunter2"
        running.program.wait_logged("the route fails")

    assert "hunter2" not in running.program.stderr
    assert "hunter2" not in str(running.status())


# -- an app that is hostile ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["verdict", "metrics"])
def test_a_compression_bomb_is_refused(adapter: StartAdapter, mode: str) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with App({"/metrics": respond(bomb, headers=b"Content-Encoding: gzip\r\n")}) as app:
        response = adapter(app.url, ADAPTER_MODE=mode, ADAPTER_MAX_BODY="1MiB").get("/health")

    assert response.status_code == 503
    assert "answered with more than 1MiB once unpacked" in response.text


@pytest.mark.parametrize("mode", ["forward", "verdict", "metrics"])
def test_a_redirect_leads_nowhere(adapter: StartAdapter, mode: str) -> None:
    with App({"/": page()}) as elsewhere:
        location = f"Location: {elsewhere.url}/\r\n".encode()
        with App({"/metrics": respond(b"", "302 Found", location)}) as app:
            response = adapter(app.url, ADAPTER_MODE=mode).get("/health")

        assert elsewhere.connections == 0
    assert response.status_code == (302 if mode == "forward" else 503)
    if mode != "forward":
        assert "answered with the status 302" in response.text


def test_an_app_cannot_split_the_response(adapter: StartAdapter) -> None:
    split = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\rX-Evil: 1\r\nContent-Length: 2\r\n\r\nok"
    with App({"/metrics": send_raw(split)}) as app:
        received = adapter(app.url).send_raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert b"evil" not in received.lower()


def test_malformed_metrics_are_refused_whole_with_the_line(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(b"up 1\nup{ 2\n")}) as app:
        response = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES="db: up == 1").get("/health")

    assert response.status_code == 503
    assert "malformed metrics: line 2" in response.text


def test_an_app_that_answers_ever_new_garbage_is_answered_for_in_every_mode(adapter: StartAdapter) -> None:
    dice = random.Random(8)
    whole = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 5\r\n\r\nup 1\n",
        b'HTTP/1.1 503 X\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"status": "DOWN"}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" + gzip.compress(b"up 1\n"),
    ]

    async def garbage(exchange: Exchange) -> None:
        said = bytearray(dice.choice(whole))
        for _ in range(dice.randrange(6)):
            place = dice.randrange(len(said))
            said[place : place + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
        await exchange.send(bytes(said))
        exchange.close()

    with App({"/x": garbage}) as app:
        running = adapter(
            app.url, "/f=/x,/v=/x,/m=/x", ADAPTER_MODE="forward,/v=verdict,/m=metrics", ADAPTER_TIMEOUT=DEADLINE
        )
        request = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        seen = {running.send_raw(request % path).split(b" ", 2)[1] for path in (b"/f", b"/v", b"/m") * 60}

        assert {b"200", b"503"} <= seen
        assert running.program.stop() == 0
    assert "Traceback" not in running.program.stderr
    assert "defect" not in running.program.stderr
