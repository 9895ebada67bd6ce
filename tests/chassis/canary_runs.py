"""Runs of each sidecar with canaries in its settings, against peers that are dead, that lie and that echo.

A run returns what was seen: for each row of the table the outputs in which its canary was found.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from tests.chassis.canaries import Canaries
from tests.chassis.canary_profiles import BCRYPT, POD
from tests.chassis.peers import Peer, echo, lie, serving
from tests.conftest import Start
from tests.support import PATIENCE, Program, free_port, wait_until

ENDPOINTS = ("livez", "readyz", "metrics", "status", "nothing")


@dataclass
class Run:
    """One run of a sidecar, and what was seen of its canaries. Each member (an app, a sink) has canaries of its own."""

    name: str
    start: Start
    folder: Path
    stack: ExitStack
    hits: dict[str, set[str]] = field(default_factory=dict)
    canaries: dict[str, Canaries] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)
    admin: int = field(default_factory=free_port)

    def set(self, templates: Mapping[str, str], member: str = "") -> None:
        """Set the variables, with canaries of the member."""
        prefix = self.name.upper()
        canaries = self.canaries.setdefault(member, Canaries(member))
        for suffix, template in templates.items():
            shared = suffix if suffix.startswith(("POD_", "NODE_", "OTEL_")) else f"{prefix}_{suffix}"
            variable = f"{prefix}_{member.upper()}_{suffix}" if member else shared
            self.environ[variable] = canaries.fill(variable, template, shared)

    def peer(self, name: str, behaviour: Callable[[bytes], bytes]) -> int:
        """Start a peer, and return its port."""
        self.peers[name] = self.stack.enter_context(serving(behaviour))
        return self.peers[name].port

    def begin(self, *, serves: bool = True) -> Program:
        self.set({**POD, "LOG_LEVEL": "debug", "LOG_FORMAT": "json"})
        if serves:
            self.set({"ADMIN_LISTEN": f"127.0.0.1:{self.admin}", "DRAIN_TIMEOUT": "2s"})
        for canaries in self.canaries.values():
            for row in canaries.made.values():
                self.hits.setdefault(row, set())
        return self.start(self.name, **self.environ)

    def see(self, output: str, text: str | bytes, members: Mapping[str, Canaries] | None = None) -> None:
        for canaries in (self.canaries if members is None else members).values():
            for row in canaries.found_in(text):
                self.hits[row].add(output)

    def has_retried(self, member: str) -> bool:
        return self.peers[member].received.count(b"POST ") > 1

    def see_endpoints(self) -> None:
        for path in ENDPOINTS:
            response = fetch(f"http://127.0.0.1:{self.admin}/{path}")
            self.see(path, response.content + str(response.headers).encode())
        page = fetch(f"http://127.0.0.1:{self.admin}/")
        assert page.text.startswith("<!doctype html>")
        self.see("page", page.content + str(page.headers).encode())

    def see_end(self, program: Program) -> list[str]:
        """Look at the log and at what the peers got. Return the places where the net had to replace a secret."""
        first, settings, rest = program.stderr.split("\n", 2)
        assert json.loads(settings)["msg"] == "settings"
        self.see("start", first + settings)
        self.see("log", rest)
        self.see("stdout", program.stdout)
        for name, peer in self.peers.items():
            own = {name: self.canaries[name]} if name in self.canaries else {}
            shared = {"": self.canaries[""]}
            others = {other: each for other, each in self.canaries.items() if other not in (name, "")}
            self.see("peer", peer.received, own | shared)
            self.see("stranger", peer.received, others)
        lines = [json.loads(line) for line in rest.splitlines() if line.startswith("{")]
        return sorted({line["place"] for line in lines if line["logger"] == "scrubber"})


def fetch(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.get(url, headers=dict(headers or {}), trust_env=False, timeout=PATIENCE, follow_redirects=False)


@contextlib.contextmanager
def a_run(name: str, start: Start, folder: Path) -> Iterator[Run]:
    with ExitStack() as stack:
        yield Run(name, start, folder, stack)


# -- the four sidecars ------------------------------------------------------------------------------------------------


def run_warcopier(start: Start, folder: Path) -> tuple[Run, list[str]]:
    with a_run("warcopier", start, folder) as run:
        run.set({"SOURCE": f"{folder}/{{_}}", "TARGET": f"{folder}/{{_}}"})
        program = run.begin(serves=False)
        assert program.wait() in (65, 74)
        return run, run.see_end(program)


def run_ambassador(start: Start, folder: Path) -> tuple[Run, list[str]]:
    with a_run("ambassador", start, folder) as run:
        stranger = run.peer("stranger", lie)
        ports = {
            "dead": free_port(),
            "lying": run.peer("lying", lie),
            "echo": run.peer("echo", echo("401 Unauthorized", f"http://127.0.0.1:{stranger}/elsewhere")),
        }
        listen = {member: free_port() for member in ports}
        for member, port in ports.items():
            run.set(
                {
                    "UPSTREAM": f"http://127.0.0.1:{port}",
                    "LISTEN": f"127.0.0.1:{listen[member]}",
                    "BALANCE": "hash:header:{_}",
                    "HEALTH_PATH": "/{path}?key={query}",
                    "HEALTH_INTERVAL": "100ms",
                    "HEADERS": "X-{name}: {_}\n+Cookie: a={_}\n",
                    "ROUTE": "/, /{path} header:x-api-key={value}",
                    "TOKEN": "{_}",
                    "ACCESS_LOG": "all",
                    "TRACES": "on",
                },
                member,
            )
        collector = run.peer("collector", echo("401 Unauthorized"))
        run.set(
            {
                "TRACES_ENDPOINT": f"http://127.0.0.1:{collector}/{{path}}?key={{query}}",
                "TRACES_HEADERS": "X-Key: {_}\n",
                "TRACES_SERVICE": "{_}",
            }
        )
        listen["proxied"] = free_port()
        proxy = run.peer("proxied", echo("407 Proxy Authentication Required"))
        run.set(
            {
                "UPSTREAM": "http://orders.invalid:80",
                "LISTEN": f"127.0.0.1:{listen['proxied']}",
                "PROXY": f"http://{{user}}@127.0.0.1:{proxy}",
                "PROXY_PASSWORD": "{_}",
            },
            "proxied",
        )
        program = run.begin()
        program.wait_ready(run.admin)
        for port in listen.values():
            for _ in range(2):
                response = fetch(f"http://127.0.0.1:{port}/app?own=query")
                run.see("response", response.content + str(response.headers).encode())
        wait_until(lambda: b"ambassador-health" in run.peers["echo"].received, "a health check")
        run.see_endpoints()
        assert program.stop() == 0
        return run, run.see_end(program)


def run_adapter(start: Start, folder: Path) -> tuple[Run, list[str]]:
    with a_run("adapter", start, folder) as run:
        port, stranger = free_port(), run.peer("stranger", lie)
        ports = {
            "dead": free_port(),
            "lying": run.peer("lying", lie),
            "echo": run.peer("echo", echo("401 Unauthorized", f"http://127.0.0.1:{stranger}/", as_json=True)),
            "basic": run.peer("basic", echo("200 OK", as_json=True)),
        }
        run.set({"LISTEN": f"127.0.0.1:{port}", "TOKEN": "{_}", "BASIC_AUTH": f"{{_}}:{BCRYPT}"})
        run.set({"TIMEOUT": "1m"})  # a peer that gets no CPU has no words of its own
        modes = ("forward", "verdict", "metrics")
        for member, app_port in ports.items():
            user = (
                {"TARGET_USERNAME": "{_}", "TARGET_PASSWORD": "{_}"} if member == "basic" else {"TARGET_TOKEN": "{_}"}
            )
            run.set(
                {
                    "TARGET": f"http://127.0.0.1:{app_port}",
                    "ROUTES": ",".join(f"/{member}/{mode}=/{{path}}/{mode}?key={{query}}" for mode in modes),
                    "MODE": ",".join(f"/{member}/{mode}={mode}" for mode in modes),
                    "RULES": '{_}: up{{a="b"}} == 1 fail',
                    "SELECT": "{_}=$.a",
                    "STATUS_VALUES": "{_}=1",
                    "VALID_STATUS_CODES": "200-499",
                    **user,
                },
                member,
            )
        program = run.begin()
        program.wait_ready(run.admin)
        bearer = {"Authorization": f"Bearer {run.environ['ADAPTER_TOKEN']}"}
        for member in ports:
            for mode in modes:
                for headers in ({}, bearer, {**bearer, "X-Prometheus-Scrape-Timeout-Seconds": "0.001"}):
                    response = fetch(f"http://127.0.0.1:{port}/{member}/{mode}?verbose", headers)
                    output = f"response-{mode}" if response.status_code != 401 or member == "echo" else "response-401"
                    run.see(output, response.content + str(response.headers).encode())
        run.see_endpoints()
        assert program.stop() == 0
        return run, run.see_end(program)


def run_logshipper(start: Start, folder: Path) -> tuple[Run, list[str]]:
    with a_run("logshipper", start, folder) as run:
        stranger = run.peer("stranger", lie)
        location = f"http://127.0.0.1:{stranger}/elsewhere"
        sinks = {
            "dead": ("http", free_port()),
            "lying": ("loki+http", run.peer("lying", lie)),
            "forward": ("forward", run.peer("forward", lie)),
            "echo": ("http", run.peer("echo", echo("401 Unauthorized", location))),
            "refusing": ("elasticsearch+http", run.peer("refusing", echo("400 Bad Request", as_json=True))),
            "basic": ("otlp+http", run.peer("basic", echo("307 Temporary Redirect", location))),
        }
        run.set(
            {"PATHS": f"{folder}/{{_}}/*.log", "LABELS": "app={_}", "REDACT": "/{_}/", "STATE_DIR": f"{folder}/{{_}}"}
        )
        run.set({"SCAN_INTERVAL": "50ms", "BATCH_TIMEOUT": "50ms", "RETRY_MIN": "50ms", "RETRY_MAX": "100ms"})
        run.set({"GIVE_UP_AFTER": "50ms", "OTEL_EXPORTER_OTLP_HEADERS": "X-{name}={_}"})
        for member, (scheme, port) in sinks.items():
            secrets = {"SINK_TOKEN": "{_}", "SINK_HEADERS": "X-{name}={_}"}
            if member == "basic":
                secrets = {"SINK_USERNAME": "{_}", "SINK_PASSWORD": "{_}"}
            where = "{path}/in?key={query}"
            if member == "forward":
                secrets, where = {"SINK_TOKEN": "{_}"}, "tag"
            run.set({"SINK": f"{scheme}://127.0.0.1:{port}/{where}", **secrets}, member)
        logs = Path(run.environ["LOGSHIPPER_PATHS"]).parent
        for each in (logs, Path(run.environ["LOGSHIPPER_STATE_DIR"])):
            each.mkdir()
        (logs / "app.log").write_text("a line\n")
        program = run.begin()
        for member in ("echo", "lying", "refusing", "basic"):
            wait_until(partial(run.has_retried, member), f"a retry to {member}")
        run.see_endpoints()
        assert program.stop() == 69  # sinks are down
        return run, run.see_end(program)


RUNS = {
    "warcopier": run_warcopier,
    "logshipper": run_logshipper,
    "ambassador": run_ambassador,
    "adapter": run_adapter,
}
