"""The proxies that `benchmarks.grpc_calls` compares for gRPC, and the origin: nghttpd, which echoes with a trailer.

One of them is no proxy: `benchmarks.relay` copies bytes, and costs what the machine takes for any proxy.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import relay
from benchmarks.ambassador_peers import Form, Proxy, envoy, free_port

MESSAGE: Final = b"\0\0\0\0\x64" + bytes(100)  # a message of gRPC with 100 bytes
GRPC: Final = "grpc"
RELAY: Final = "relay in C"

HAPROXY: Final = """
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
  bind 127.0.0.1:{port} proto h2
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin} proto h2
"""

NGINX: Final = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} http2 backlog=4096;
    location / {{ grpc_pass grpc://origin; }}
  }}
}}
"""

ENVOY: Final = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: app, codec_type: HTTP2,
      route_config: {{virtual_hosts: [
        {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: origin}}}}]}}]}},
      http_filters: [{{name: envoy.filters.http.router, typed_config: {{
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}}}]}}]
  clusters:
  - name: origin
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers: {{thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment: {{cluster_name: origin, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{
      socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}}}]}}]}}
"""

NGHTTPX: Final = """
frontend=127.0.0.1,{port};no-tls
backend=127.0.0.1,{origin};;proto=h2
workers=1
accesslog-file=/dev/null
errorlog-file={folder}/error.log
pid-file={folder}/pid
"""


@dataclass
class Origin:
    """The nghttpd that all proxies forward to."""

    folder: Path
    port: int = field(default_factory=free_port)

    def command(self) -> list[str]:
        (self.folder / "htdocs").mkdir()
        root = str(self.folder / "htdocs")
        more = ["--no-tls", "--echo-upload", "--trailer", "grpc-status: 0", "-n", "1", "-m", "1000", "-d", root]
        return ["nghttpd", "-a", "127.0.0.1", *more, str(self.port)]


def ambassador(name: str, upstream: str, form: Form, **settings: str) -> Proxy:
    """Return an ambassador in front of this upstream."""
    port = free_port()
    environ = {f"AMBASSADOR_{key}": value for key, value in settings.items()}
    environ |= {
        "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
        "AMBASSADOR_LISTEN": f"127.0.0.1:{port}",
        "AMBASSADOR_UPSTREAM": upstream,
    }
    return Proxy(name, form.command, {GRPC: port}, environ | form.environ)


def peers(origin: Origin) -> tuple[list[Proxy], list[str]]:
    """Return the peers that can be measured here, and the names of the missing ones."""
    found: list[Proxy] = []
    missing: list[str] = []
    for name, text, command in (
        ("haproxy", HAPROXY, ["haproxy", "-f"]),
        ("nginx", NGINX, ["nginx", "-c"]),
        ("nghttpx", NGHTTPX, ["nghttpx", "--conf"]),
        ("envoy", ENVOY, [envoy(origin.folder), "--concurrency", "1", "-l", "error", "-c"]),
    ):
        if not shutil.which(command[0]):
            missing.append(name)
            continue
        own = origin.folder / name
        own.mkdir()
        port = free_port()
        config = own / "config.yaml"
        config.write_text(text.format(port=port, origin=origin.port, folder=own))
        more = ["--base-id", str(port)] if name == "envoy" else []
        found.append(Proxy(name, [command[0], *more, *command[1:], str(config)], {GRPC: port}))
    program = relay.make(origin.folder)
    if program is None:
        missing.append(RELAY)
    else:
        port = free_port()
        found.append(Proxy(RELAY, [str(program), str(port), str(origin.port)], {GRPC: port}))
    return found, missing
