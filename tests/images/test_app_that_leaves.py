"""A Pod of two containers: the kernel distinguishes an app that closes its connection from one that half-closes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.images.support import CONFINED, docker, run
from tests.support import wait_until
from tools.names import image, official

pytestmark = pytest.mark.engine

PYTHON = official("python")

# The app, and its upstream: it sends no response, and prints how each of its connections ends.
APP = """
import socket, sys, threading, time, urllib.request

service = socket.create_server(("127.0.0.1", 8080))

def serve(connection):
    connection.recv(65536)
    asked.set()
    try:
        connection.recv(1)
    except ConnectionResetError:
        pass
    ended.set()

def accept():
    while True:
        threading.Thread(target=serve, args=(service.accept()[0],), daemon=True).start()

asked, ended = threading.Event(), threading.Event()
threading.Thread(target=accept, daemon=True).start()
while True:
    try:
        app = socket.create_connection(("127.0.0.1", 8500))
        break
    except OSError:
        time.sleep(0.1)
app.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
asked.wait(60)
if sys.argv[1] == "half-closes":
    app.shutdown(socket.SHUT_WR)
    print("ended" if ended.wait(3) else "waited for", flush=True)
app.close()
print("told" if ended.wait(60) else "not told", flush=True)
page = urllib.request.urlopen("http://127.0.0.1:9913/metrics").read().decode()
counted = [line for line in page.splitlines() if line.startswith("ambassador_requests_total{")]
print(*[line for line in counted if not line.endswith(" 0.0")], flush=True)
"""


@pytest.fixture(params=["closes", "half-closes"])
def app(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Start the app's container, which owns the network of the Pod."""
    user = ("--user", "1000", *CONFINED, "--network", "none")
    name = docker("run", "--detach", *user, PYTHON, "python3", "-c", APP, request.param).strip()
    yield name, request.param
    docker("rm", "--force", name)


@pytest.fixture
def ambassador(app: tuple[str, str]) -> Iterator[str]:
    """Start the ambassador's container: another user, another process namespace, the same network."""
    settings = ("--env", "AMBASSADOR_UPSTREAM=http://127.0.0.1:8080", "--env", "AMBASSADOR_DRAIN_TIMEOUT=10m")
    options = ("--network", f"container:{app[0]}", *CONFINED, *settings)
    name = docker("run", "--detach", *options, image("ambassador")).strip()
    yield name
    docker("rm", "--force", name)


def test_the_leaving_of_an_app_in_another_container_is_told_to_the_upstream(
    app: tuple[str, str], ambassador: str
) -> None:
    name, does = app
    wait_until(lambda: docker("inspect", "--format", "{{.State.Status}}", name).strip() == "exited", "its end", 120)
    output = run("docker", "logs", name).stdout.splitlines()
    first = ["waited for"] if does == "half-closes" else []
    assert output == [*first, "told", 'ambassador_requests_total{code="499",upstream="default"} 1.0'], ambassador
