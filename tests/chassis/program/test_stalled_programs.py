"""Each sidecar while no process reads its log: it works, it answers, and it ends at a stop signal."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chassis.stalled import Stalled, stalled
from tests.support import PATIENCE, Program, free_port, get, wait_until
from tests.warcopier.support import SHOP

Begin = Callable[..., Program]
DROPPED = "sidecar_log_lines_dropped_total"


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Stalled]:
    with stalled(getattr(request, "param", "pipe")) as ends:
        yield ends


@pytest.fixture
def begin(log: Stalled, tmp_path: Path) -> Iterator[Begin]:
    """Start a sidecar whose log no process reads."""
    running: list[Program] = []

    def start(name: str, **environ: str) -> Program:
        program = Program(["-m", f"sidecars.{name}"], environ, tmp_path, stderr=log.theirs)
        running.append(program)
        return program

    yield start
    for program in running:
        program.kill()


@pytest.fixture
def app() -> Iterator[str]:
    """An app that answers every request, and has one metric."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b"# TYPE up gauge\nup 1\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def metric(port: int, name: str) -> float:
    page = get(f"http://127.0.0.1:{port}/metrics").text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name)


def lives(port: int) -> bool:
    return get(f"http://127.0.0.1:{port}/livez").is_success


def begin_ambassador(begin: Begin, app: str, workers: str) -> tuple[Program, int, int]:
    """Return an ambassador that logs each request, when it is ready, with its port and its admin port."""
    port, admin = free_port(), free_port()
    program = begin(
        "ambassador",
        AMBASSADOR_UPSTREAM=app,
        AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
        AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        AMBASSADOR_ACCESS_LOG="all",
        AMBASSADOR_WORKERS=workers,
        AMBASSADOR_DRAIN_QUIET="0",
    )
    program.wait_ready(admin)
    return program, port, admin


@pytest.mark.parametrize(
    ("log", "workers"), [("pipe", "1"), ("terminal", "1"), ("socket", "1"), ("pipe", "2")], indirect=["log"]
)
def test_the_ambassador_serves_every_request_and_says_how_many_lines_it_has_dropped(
    begin: Begin, log: Stalled, app: str, workers: str
) -> None:
    program, port, admin = begin_ambassador(begin, app, workers)
    path = "/" + 2000 * "x"  # in each line of the access log: they fill the queue soon
    with ExitStack() as stack:
        clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(4)]
        for client in clients:
            stack.callback(client.close)
        while not metric(admin, DROPPED):
            for client in clients * 10:
                client.request("GET", path)
                response = client.getresponse()
                assert (response.status, response.read()[:3]) == (200, b"# T")
    assert lives(admin)
    assert log.is_still_blocking()
    assert program.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_of_800_requests_is_answered_and_its_line_is_written_or_counted(
    begin: Begin, log: Stalled, app: str, workers: str
) -> None:
    program, port, admin = begin_ambassador(begin, app, workers)
    with ThreadPoolExecutor(8) as clients:
        answered = clients.map(lambda first: answers(port, range(first, first + 100)), range(0, 800, 100))
    assert sum(answered) == 800

    wait_until(lambda: metric(admin, "ambassador_requests_total") == 800, "all requests are counted")
    dropped = int(metric(admin, DROPPED))
    assert dropped > 0
    lines = log.read_lines(lambda lines: sum(is_request(line) for line in lines) == 800 - dropped)
    assert len({line for line in lines if is_request(line)}) == 800 - dropped
    assert program.stop() == 0


def answers(port: int, numbers: range) -> int:
    """Send a request for each number on one connection, all at once, and return the number of 200s."""
    requests = [f"GET /{number:04}/{'x' * 1500} HTTP/1.1\r\nHost: a\r\n\r\n" for number in numbers]
    data = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        sender = threading.Thread(target=connection.sendall, args=["".join(requests).encode()])
        sender.start()
        while data.count(b"up 1\n") < len(requests) and (more := connection.recv(1 << 16)):
            data += more
        sender.join()
    return data.count(b"HTTP/1.1 200 OK\r\n")


def is_request(line: str) -> bool:
    return bool(json.loads(line)["msg"] == "request")  # a torn line is no JSON


def test_the_adapter_answers(begin: Begin, app: str) -> None:
    port, admin = free_port(), free_port()
    program = begin(
        "adapter",
        ADAPTER_TARGET=app,
        ADAPTER_LISTEN=f"127.0.0.1:{port}",
        ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        ADAPTER_LOG_LEVEL="debug",
    )
    program.wait_ready(admin)
    for _ in range(20):
        assert get(f"http://127.0.0.1:{port}/health").status_code == 200
    assert lives(admin)
    assert program.stop() == 0


def test_the_logshipper_delivers(begin: Begin, tmp_path: Path) -> None:
    admin = free_port()
    (tmp_path / "logs").mkdir()
    (tmp_path / "state").mkdir()
    lines = [f"line {number}" for number in range(2000)]
    program = begin(
        "logshipper",
        LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log",
        LOGSHIPPER_STATE_DIR=f"{tmp_path}/state",
        LOGSHIPPER_SINK=f"file://{tmp_path}/out",
        LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        LOGSHIPPER_LOG_LEVEL="debug",
    )
    program.wait_ready(admin)
    (tmp_path / "logs" / "app.log").write_text("".join(f"{line}\n" for line in lines))
    out = tmp_path / "out"

    def delivered() -> list[str]:
        lines = [line for file in out.glob("*") for line in file.read_text().split("\n")[:-1]]  # those that are whole
        return [json.loads(line)["message"] for line in lines]

    wait_until(lambda: delivered() == lines, "all lines are delivered")
    assert lives(admin)
    assert program.stop() == 0


def test_the_warcopier_publishes_and_ends(begin: Begin, tmp_path: Path) -> None:
    source, target = _offered(tmp_path)
    program = begin("warcopier", WARCOPIER_SOURCE=str(source), WARCOPIER_TARGET=str(target), WARCOPIER_UNPACK="true")

    assert program.wait() == 0
    assert (target / "shop" / "index.html").read_text() == "shop"


def test_the_warcopier_that_fails_does_so_with_its_exit_code(begin: Begin, log: Stalled, tmp_path: Path) -> None:
    source, target = _offered(tmp_path)
    (source / "broken.war").write_bytes(b"no zip at all")
    program = begin("warcopier", WARCOPIER_SOURCE=str(source), WARCOPIER_TARGET=str(target))

    assert program.wait() == 65


def test_the_warcopier_that_watches_publishes_again(begin: Begin, tmp_path: Path) -> None:
    source, target = _offered(tmp_path)
    admin = free_port()
    program = begin(
        "warcopier",
        WARCOPIER_SOURCE=str(source),
        WARCOPIER_TARGET=str(target),
        WARCOPIER_WATCH="true",
        WARCOPIER_WATCH_INTERVAL="100ms",
        WARCOPIER_ADMIN_LISTEN=f"127.0.0.1:{admin}",
    )
    program.wait_ready(admin)
    (source / "second.war").write_bytes(SHOP)
    wait_until((target / "second.war").exists, "the second WAR is published")
    assert lives(admin)
    assert program.stop() == 0


def _offered(folder: Path) -> tuple[Path, Path]:
    source, target = folder / "source", folder / "target"
    source.mkdir()
    target.mkdir()
    (source / "shop.war").write_bytes(SHOP)
    return source, target


def test_the_reason_of_the_end_comes_as_the_last_line_when_the_reader_wakes_up(
    begin: Begin, log: Stalled, tmp_path: Path
) -> None:
    source, target = _offered(tmp_path)
    (source / "broken.war").write_bytes(b"no zip at all")
    program = begin("warcopier", WARCOPIER_SOURCE=str(source), WARCOPIER_TARGET=str(target))

    lines = log.read(b'"exit_code":65}\n').decode().splitlines()

    assert program.wait() == 65
    assert json.loads(lines[-1])["level"] == "error"
    assert json.loads(lines[0])["msg"] == "starting"
