"""The examples of docs/how-to/health-and-metrics.md: settings, requests and responses are those that it prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import App, Behaviour, respond
from tests.support import ROOT

PAGE = (ROOT / "docs/how-to/health-and-metrics.md").read_text()
JSON = b"Content-Type: application/json\r\n"

METRICS = respond(
    b'# TYPE up gauge\nup{job="db"} 1\n'
    b'# TYPE jvm_memory_used_bytes gauge\njvm_memory_used_bytes{area="heap"} 320000000\n'
    b'# TYPE jvm_memory_max_bytes gauge\njvm_memory_max_bytes{area="heap"} 512000000\n'
    b"# TYPE queue_length gauge\nqueue_length 120\n"
)
SPRING = respond(
    b'{"status": "DOWN", "components": {"db": {"status": "DOWN", "details": {"error": "connection refused"}},'
    b' "diskSpace": {"status": "UP", "details": {"total": 499963174912, "free": 91300069376}}}}',
    "503 Service Unavailable",
    JSON,
)
INFO = respond(
    b'{"queue": {"depth": 120}, "checks": [{"name": "queue", "state": "UP"}], "disks": [{"free": 10}, {"free": 20}]}',
    headers=JSON,
)
# The apps of the examples, by port.
APPS: dict[str, dict[str, Behaviour]] = {
    "8080": {"/metrics": METRICS, "/actuator/health": SPRING, "/info": INFO},
    "8090": {"/health": SPRING},
}


@dataclass
class Example:
    """A section: its settings, and its requests with their responses."""

    title: str
    environ: dict[str, str]
    exchanges: list[Exchange]

    def __str__(self) -> str:
        return self.title


@dataclass
class Exchange:
    command: list[str]
    status: int
    lines: list[str] = field(default_factory=list)


def examples() -> Iterator[Example]:
    for section in PAGE.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        blocks = dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))
        environ = dict(item.split("=", 1) for item in shlex.split(blocks["sh"]))
        yield Example(title, environ, list(_exchanges(blocks["console"])))


def _exchanges(block: str) -> Iterator[Exchange]:
    exchange: Exchange | None = None
    for line in block.splitlines():
        if line.startswith("$ "):
            if exchange:
                yield exchange
            command, _, status = line[2:].partition(" # ")
            exchange = Exchange(shlex.split(command), int(status))
        elif exchange:
            exchange.lines.append(line)
    if exchange:
        yield exchange


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_an_example_of_the_page_does_what_it_says(adapter: StartAdapter, example: Example) -> None:
    with ExitStack() as running_apps:
        apps = {port: running_apps.enter_context(App(behaviours)) for port, behaviours in APPS.items()}
        environ = dict(example.environ)
        for name, value in environ.items():
            for port, app in apps.items():
                environ[name] = environ[name].replace(f"http://127.0.0.1:{port}", app.url) or value
        named = any(name.endswith("_TARGET") for name in environ)
        running = adapter("" if named else apps["8080"].url, environ.pop("ADAPTER_ROUTES", ""), **environ)
        for exchange in example.exchanges:
            headers, path = _curl(exchange.command)

            response = running.get(path, **headers)

            assert response.status_code == exchange.status, response.text
            assert response.text.splitlines() == exchange.lines


def _curl(command: list[str]) -> tuple[dict[str, str], str]:
    """Return the headers and the path that `curl [-H 'Name: value'] 127.0.0.1:8081/path` sends."""
    program, *options, url = command
    assert program == "curl"
    headers = dict(options[index + 1].split(": ", 1) for index, option in enumerate(options) if option == "-H")
    return headers, url.removeprefix("127.0.0.1:8081")
