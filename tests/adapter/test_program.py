"""The real program, in front of an app that does its worst."""

from __future__ import annotations

import asyncio
import gzip
import signal
import socket
import threading
import time
from collections.abc import Callable

import aiohttp
import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import App, Behaviour, answer, closing_the_next_time, endless, hang, held, raw
from tests.conftest import Start
from tests.support import free_port, wait_until

METRICS = b'# TYPE up gauge\nup{job="app"} 1\n'
PROMPT = 15.0  # seconds; that an answer comes at all before the app's own, which never comes, is what matters


# -- forward ------------------------------------------------------------------------------------------------------


def test_health_is_answered_from_metrics_byte_for_byte(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS)}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == 200
    assert response.content == METRICS
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4"


def test_head_is_answered_like_get_but_without_the_body(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS)}) as app:
        response = adapter(app.url).get("/health", method="HEAD")

        assert app.heads[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["Content-Length"] == str(len(METRICS))


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "429 Too Many", "500 Oops", "503 Starting"])
def test_a_status_of_the_app_is_handed_on(adapter: StartAdapter, status: str) -> None:
    body = b"" if status.startswith("204") else b"why: database is away"
    with App({"/metrics": answer(body, status)}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == int(status[:3])
    assert response.content == body


def test_a_redirect_is_handed_on_and_never_followed(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(b"", "302 Found", b"Location: /metrics\r\n")}) as app:
        response = adapter(app.url).get("/health")

        assert app.seen == {"/metrics": 1}
    assert response.status_code == 302
    assert response.headers["Location"] == "/metrics"


def test_nothing_of_a_probers_request_reaches_the_app(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS)}) as app:
        adapter(app.url).raw(
            b"GET /health?path=/admin HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer hunter2\r\n"
            b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil.example\r\nCookie: a=b\r\nConnection: close\r\n\r\n"
        )
        head = app.heads[0].decode().lower()

    assert head.startswith("get /metrics http/1.1\r\n")
    assert f"host: 127.0.0.1:{app.port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    for word in ("evil", "hunter2", "forwarded", "cookie", "authorization", "admin"):
        assert word not in head


def test_headers_of_the_connection_stay_on_it(adapter: StartAdapter) -> None:
    hop = b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: id=1\r\nContent-Type: text/html\r\n"
    with App({"/metrics": answer(METRICS, headers=hop)}) as app:
        response = adapter(app.url).get("/health")

    assert set(response.headers) <= {"content-type", "content-length", "date", "server", "connection"}
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers["Server"] == "adapter"


def test_a_header_that_no_client_could_read_is_left_out(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS, headers=b"Content-Type: text/\xff\xfe\r\n")}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == 200
    assert response.content == METRICS


def test_an_app_of_http_1_0_is_understood(adapter: StartAdapter) -> None:
    with App({"/metrics": raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", METRICS)}) as app:
        response = adapter(app.url).get("/health")

    assert (response.status_code, response.content) == (200, METRICS)


def test_a_body_in_chunks_is_handed_on_whole(adapter: StartAdapter) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with App({"/metrics": raw(chunks)}) as app:
        response = adapter(app.url).get("/health")

    assert response.content == b"abcde"
    assert "Transfer-Encoding" not in response.headers


def test_what_comes_compressed_is_handed_on_compressed(adapter: StartAdapter) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with App({"/metrics": answer(bomb, headers=b"Content-Encoding: gzip\r\n")}) as app:
        running = adapter(app.url, ADAPTER_MAX_BODY="1MiB")
        received = running.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert body == bomb


def test_an_app_on_ipv6_is_reached(adapter: StartAdapter) -> None:
    try:
        app = App({"/metrics": answer(METRICS)}, host="::1")
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with app:
        assert adapter(app.url).get("/health").content == METRICS
        assert f"host: [::1]:{app.port}" in app.heads[0].decode().lower()


def test_several_apps_are_answered_on_one_port(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(b"shop")}) as shop, App({"/metrics": answer(b"cart")}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_SHOP_ROUTES="/shop=/metrics",
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_ROUTES="/cart=/metrics",
        )

        assert running.get("/shop").content == b"shop"
        assert running.get("/cart").content == b"cart"


# -- what is refused ----------------------------------------------------------------------------------------------


def test_an_unknown_path_is_told_the_routes_and_a_wrong_method_the_right_ones(adapter: StartAdapter) -> None:
    with App({}) as app:
        running = adapter(app.url)

        unknown, wrong = running.get("/nowhere"), running.get("/health", method="DELETE")

        assert app.connections == 0
        assert running.metric("adapter_requests_total", route="other", code="404") == 1
        assert running.metric("adapter_requests_total", route="/health", code="405") == 1
    assert (unknown.status_code, unknown.text) == (404, "not found: the routes are /health\n")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD")


def test_garbage_from_a_prober_is_refused_and_never_logged(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS)}) as app:
        running = adapter(app.url)

        assert running.raw(b"hunter2 \x00\xff\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert running.raw(b"GET /health HTTP/1.1\r\nhunter2 header\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert running.get("/health").is_success
    assert "hunter2" not in running.program.stderr
    assert "Traceback" not in running.program.stderr


# -- an app that fails --------------------------------------------------------------------------------------------

HUGE_HEAD = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"x" * 70_000 + b"\r\n\r\n"
MANY_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\n"

FAILURES: dict[str, tuple[Behaviour, str, str]] = {
    "hangs before the head": (hang(), "timeout", "did not answer within 400ms"),
    "hangs in the head": (hang(OK), "timeout", "did not answer within 400ms"),
    "hangs in the body": (
        hang(OK + b"Content-Length: 9\r\n\r\nabc"),
        "timeout",
        "began an answer with the status 200, but did not end it after 3 B of its body within 400ms",
    ),
    "drips its head": (endless(b"X: y\r\n", begin=OK, pause=0.05), "timeout", "did not answer within 400ms"),
    "drips its body": (
        endless(b"x", begin=OK + b"Content-Length: 9999\r\n\r\n", pause=0.05),
        "timeout",
        "of its body within 400ms",
    ),
    "says continue for ever": (endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05), "timeout", "did not answer"),
    "talks without an end": (endless(b"x" * 65536, begin=OK + b"\r\n"), "too_large", "answered with more than 64KiB"),
    "announces a huge body": (hang(OK + b"Content-Length: 99999999\r\n\r\n"), "too_large", "more than 64KiB"),
    "closes at once": (raw(), "closed", "did not answer: it closed the connection"),
    "closes in the head": (raw(OK), "closed", "it closed the connection"),
    "closes in the body": (
        raw(OK + b"Content-Length: 9\r\n\r\nabc"),
        "closed",
        "did not end it after 3 B of its body: it closed the connection",
    ),
    "closes in a chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), "closed", "closed the connection"),
    "speaks another protocol": (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed", "not HTTP"),
    "sends noise": (raw(bytes(range(256)) * 8), "malformed", "not HTTP"),
    "sends a huge header": (raw(HUGE_HEAD), "malformed", "too large a head"),
    "sends many headers": (raw(MANY_HEADERS), "malformed", "too large a head"),
    "has a bad length": (raw(OK + b"Content-Length: -1\r\n\r\n"), "malformed", "not HTTP"),
    "has two lengths": (raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "malformed", "not HTTP"),
    "has a bad chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), "malformed", "not HTTP"),
    "switches protocols": (
        raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "malformed",
        "not HTTP",
    ),
    "invents a status": (raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "", "999"),
}


@pytest.fixture
def failing() -> dict[str, Behaviour]:
    return {f"/{name.replace(' ', '-')}": behaviour for name, (behaviour, _, _) in FAILURES.items()}


def test_whatever_the_app_does_a_prober_gets_503_and_the_reason(
    adapter: StartAdapter, failing: dict[str, Behaviour]
) -> None:
    with App(failing) as app:
        running = adapter(
            app.url,
            ",".join(f"{path}={path}" for path in failing),
            ADAPTER_TIMEOUT="400ms",
            ADAPTER_MAX_BODY="64KiB",
        )
        for path, (_, reason, words) in zip(failing, FAILURES.values(), strict=True):
            before = running.metric("adapter_upstream_errors_total", app="default", reason=reason)

            began = time.monotonic()
            response = running.get(path)

            assert response.status_code == 503, path
            assert response.text.startswith(f"{app.url}{path} "), path
            assert words in response.text, path
            assert len(response.content) < 4096
            assert time.monotonic() - began < PROMPT
            after = running.metric("adapter_upstream_errors_total", app="default", reason=reason)
            assert after == before + bool(reason), path
            assert running.status()["routes"][path]["last_error"]["reason"] in response.text
        assert httpx.get(f"http://127.0.0.1:{running.admin}/livez", trust_env=False).is_success
        assert running.program.stop() == 0
    assert "Traceback" not in running.program.stderr


def test_an_app_that_is_down_is_503_and_says_so(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}")

    response = running.get("/health")

    assert response.status_code == 503
    assert response.text.endswith("/metrics cannot be asked: connection refused; is the app up?\n")
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
    """Nobody accepts, and the kernel answers no further connection."""
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


def test_a_route_that_fails_is_logged_once_and_so_is_its_return(adapter: StartAdapter) -> None:
    port = free_port()
    running = adapter(f"http://127.0.0.1:{port}")
    for _ in range(5):
        assert running.get("/health").status_code == 503
    with App({"/metrics": answer(METRICS)}, port=port):
        for _ in range(5):
            assert running.get("/health").status_code == 200

    failed = [line for line in running.program.logs if line["msg"] == "the route fails"]
    assert len(failed) == 1
    assert failed[0]["level"] == "warning"
    assert "connection refused" in failed[0]["reason"]
    assert [line["msg"] for line in running.program.logs].count("the route answers again") == 1


def test_a_body_of_the_app_is_never_logged(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(b"hunter2", "500 Oops")}) as app:
        running = adapter(app.url, ADAPTER_LOG_LEVEL="debug")
        assert running.get("/health").content == b"hunter2"
        running.program.wait_logged("the route fails")

    assert "hunter2" not in running.program.stderr
    assert "hunter2" not in str(running.status())


# -- connections --------------------------------------------------------------------------------------------------


def test_an_app_that_closes_a_kept_connection_is_asked_on_a_fresh_one(adapter: StartAdapter) -> None:
    with App({"/metrics": closing_the_next_time(METRICS)}) as app:
        running = adapter(app.url)

        assert [running.get("/health").content for _ in range(6)] == [METRICS] * 6
    assert running.metric("adapter_upstream_errors_total", app="default", reason="closed") == 0


def test_a_thousand_probes_at_once_are_one_request_to_the_app(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": held(release, answer(METRICS))}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/metrics", ADAPTER_TIMEOUT="20s")
        paths = ["/health", "/live"] * 500

        def all_are_waiting() -> None:
            release.set()

        statuses = asyncio.run(probe_together(running.port, paths, all_are_waiting))

        assert app.seen == {"/metrics": 1}
        assert running.metric("adapter_upstream_requests_total", app="default") == 1
        assert running.metric("adapter_requests_total", route="/health", code="200") == 500
        assert running.metric("adapter_requests_total", route="/live", code="200") == 500
    assert statuses == [200] * 1000


async def probe_together(port: int, paths: list[str], all_are_waiting: Callable[[], None]) -> list[int]:
    """Send every request on a connection of its own before any answer is let through."""
    streams = []
    for path in paths:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        streams.append((reader, writer))
    # The server reads what has arrived before it reads an answer that is sent later, but for one more turn of its loop.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    all_are_waiting()

    async def status(reader: asyncio.StreamReader) -> int:
        return int((await reader.read()).split(b" ", 2)[1])

    statuses = await asyncio.gather(*(status(reader) for reader, _ in streams))
    for _, writer in streams:
        writer.close()
    return statuses


def test_a_thousand_probes_of_a_hung_app_are_all_answered_at_the_deadline(adapter: StartAdapter) -> None:
    async def probe(url: str) -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def one() -> int:
                async with client.get(url) as response:
                    return response.status

            return await asyncio.gather(*(one() for _ in range(1000)))

    with App({"/metrics": hang()}) as app:
        running = adapter(app.url)
        began = time.monotonic()

        statuses = asyncio.run(probe(f"http://127.0.0.1:{running.port}/health"))

        assert statuses == [503] * 1000
        assert time.monotonic() - began < PROMPT
        assert app.seen["/metrics"] < 20


def test_probes_go_on_while_the_app_is_restarted(adapter: StartAdapter) -> None:
    port = free_port()
    seen: list[int] = []
    running = None
    for body in (b"first", b"second", b"third"):
        with App({"/metrics": answer(body)}, port=port) as app:
            running = running or adapter(app.url)
            for _ in range(20):
                response = running.get("/health")
                assert (response.status_code, response.content) == (200, body)
        seen += [running.get("/health").status_code for _ in range(3)]
    assert seen == [503] * 9


def test_a_prober_that_leaves_does_not_spoil_the_answer_of_the_others(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": held(release, answer(METRICS))}) as app:
        running = adapter(app.url, ADAPTER_TIMEOUT="20s")
        impatient = socket.create_connection(("127.0.0.1", running.port))
        impatient.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: app.seen["/metrics"], "the first request to reach the app")
        with socket.create_connection(("127.0.0.1", running.port)) as patient:
            patient.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert running.get("/nowhere").status_code == 404  # by then the patient one waits, too
            impatient.close()
            release.set()
            received = b""
            while part := patient.recv(65536):
                received += part

        assert received.endswith(METRICS)
        assert app.seen == {"/metrics": 1}


# -- from start to stop -------------------------------------------------------------------------------------------


def test_it_is_ready_without_the_app(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}")

    assert httpx.get(f"http://127.0.0.1:{running.admin}/readyz", trust_env=False).is_success
    assert running.status()["routes"]["/health"]["last"] is None


def test_status_tells_each_route_and_how_it_is(adapter: StartAdapter) -> None:
    with App({"/metrics": answer(METRICS), "/ping": answer(b"no", "500 Oops")}) as app:
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
    with App({"/metrics": answer(METRICS)}) as app:
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
    with App({"/metrics": held(release, answer(METRICS))}) as app:
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
    for name in ("ADAPTER_TARGET=ftp://x: ", "ADAPTER_ROUTES=health: ", "ADAPTER_TIMOUT is not a setting"):
        assert name in program.logs[-1]["msg"]


@pytest.mark.parametrize("name", ["ADAPTER_LISTEN", "ADAPTER_ADMIN_LISTEN"])
def test_an_address_in_use_is_told_with_exit_code_74(start: Start, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ports = {"ADAPTER_LISTEN": f"127.0.0.1:{free_port()}", "ADAPTER_ADMIN_LISTEN": "off"}

        program = start("adapter", **{**ports, name: address})

        assert program.wait() == 74
    assert program.logs[-1]["msg"] == f"{name}={address}: cannot listen there: Address already in use"


def test_a_unix_socket_can_be_listened_on(start: Start, tmp_path: object) -> None:
    path = f"{tmp_path}/adapter.sock"
    with App({"/metrics": answer(METRICS)}) as app:
        program = start("adapter", ADAPTER_LISTEN=f"unix:{path}", ADAPTER_TARGET=app.url, ADAPTER_ADMIN_LISTEN="off")
        program.wait_logged("listening")
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), trust_env=False) as client:
            assert client.get("http://adapter/health").content == METRICS
        assert program.stop() == 0
