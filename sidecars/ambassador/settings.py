"""The settings of the process, and the checks of all upstreams together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sidecars.ambassador.config import seeing_settings, setting_types, shared_ports
from sidecars.ambassador.config.auth_settings import AWS, GCP, OAUTH2, CloudSettings
from sidecars.ambassador.config.ejection_settings import check_ejection
from sidecars.ambassador.config.routing_settings import route
from sidecars.ambassador.config.seeing_settings import CollectorSettings
from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import bearer_token
from sidecars.chassis.config.declared_fields import that
from sidecars.chassis.config.setting_types import (
    Address,
    address,
    choice,
    duration,
    integer,
    size,
    text,
)
from sidecars.chassis.config.settings import group, setting, variable
from sidecars.chassis.config.urls import Url, is_loopback, overlap, url
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime.light_dataclasses import dataclass

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_KUBERNETES = that(lambda settings: settings.needs_kubernetes, "{upstream} has no k8s:// target: leave it unset")


@dataclass(frozen=True, kw_only=True)
class Settings(CollectorSettings, CloudSettings):
    PREFIX = "AMBASSADOR"

    pod_name: str | None = setting(
        text, "the Pod's name (downward API), in spans as `k8s.pod.name`", env="POD_NAME", default=""
    )
    pod_namespace: str | None = setting(
        text, "the Pod's namespace (downward API), in spans as `k8s.namespace.name`", env="POD_NAMESPACE", default=""
    )
    pod_uid: str | None = setting(
        text,
        "the Pod's UID (downward API), in spans as `k8s.pod.uid` and `service.instance.id`",
        env="POD_UID",
        default="",
    )
    node_name: str | None = setting(
        text, "the node's name (downward API), in spans as `k8s.node.name`", env="NODE_NAME", default=""
    )
    upstreams: dict[str, UpstreamSettings] = group(UpstreamSettings, anchor="upstream")
    workers: int = setting(
        integer(1, 64),
        "the number of processes that share the ports, for more than one core; each has its own balancing, limits and "
        "DNS look-ups",
        default="1",
        heading="Process",
    )
    buffer_memory: int = setting(
        size("8MiB", "1TiB"),
        "the memory of each process for bytes that wait because a peer does not take them, in either direction, for "
        "bodies that are kept for a retry, and for unfinished heads; if little is left, reads are small and no further "
        "body is kept",
        default="64MiB",
    )
    admin_listen: Address = setting(
        address, "the address of the page, `/livez`, `/readyz`, `/metrics` and `/status`", default=":9913"
    )

    drain_quiet: float = setting(
        duration("0", "1h"),
        "the time without a connection of the app after which a drain ends: for a plain container, which gets SIGTERM "
        "together with the app and goes on serving",
        default="0",
    )

    kubernetes_api: Url | None = setting(
        url("https", "http"),
        "`k8s` only: the URL of the Kubernetes API server, `http` only on loopback; unset: `https` at "
        "`KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which every Pod has",
        default="",
        needs=(_KUBERNETES,),
        heading="Targets in Kubernetes",
    )
    kubernetes_account: Path = setting(
        setting_types.credentials_directory,
        "`k8s` only: the directory with the files `token`, `ca.crt` and `namespace` of a ServiceAccount; new files are "
        "used as soon as they are there",
        default="/var/run/secrets/kubernetes.io/serviceaccount",
        needs=(_KUBERNETES,),
    )
    kubernetes_family: str = setting(
        choice("auto", "ipv4", "ipv6"),
        "`k8s` only: the addresses of a Service that has both kinds: `auto` (IPv4 if there is a route and an endpoint "
        "that serves, else IPv6), `ipv4` or `ipv6`",
        default="auto",
        needs=(_KUBERNETES,),
    )
    kubernetes_grace: float = setting(
        duration(maximum="24h"),
        "`k8s` only: the time without the API after which the Service is looked up in DNS; until then, and without an "
        "answer of DNS, the endpoints stay that are known",
        default="30s",
        needs=(_KUBERNETES,),
    )
    topology_zone: str | None = setting(
        setting_types.zone,
        "`k8s` only: the zone of this Pod's node, for a Service with hints (`trafficDistribution`); unset: hints are "
        "ignored",
        default="",
        needs=(_KUBERNETES,),
    )

    def summary(self) -> str:
        return ", ".join(
            f"{upstream.listen}{f' ({route.show(upstream.route)})' if upstream.route else ''} -> {upstream.upstream}"
            for upstream in self.upstreams.values()
        )

    def further_roots(self) -> Iterator[DeclaredRoot]:
        """Yield the right to execute Python, where the workers are programs, and to read the token of `k8s://`."""
        if self.workers > 1:
            yield from roots.to_execute(sys.executable)
        if self.needs_kubernetes:
            yield from roots.to_read(self.kubernetes_account)
        google = self.google_application_credentials
        if google is not None and any(upstream.auth == GCP for upstream in self.upstreams.values()):
            from sidecars.chassis.identity import google_federation  # noqa: PLC0415 - few have such a file

            if path := google_federation.token_file(google):
                yield from roots.to_read(path)

    @property
    def needs_kubernetes(self) -> bool:
        """True if a target is a Service in Kubernetes."""
        return any(upstream.upstream.needs_kubernetes for upstream in self.upstreams.values())

    @property
    def ports(self) -> dict[str, list[UpstreamSettings]]:
        """The upstreams of each port, by the name of the port."""
        return shared_ports.ports(self.upstreams)

    def check(self) -> Iterator[str]:
        if self.drain_quiet and self.drain_quiet >= self.drain_timeout:
            quiet, timeout = variable(type(self), "drain_quiet"), variable(type(self), "drain_timeout")
            yield f"{quiet} is not less than {timeout}, which would always end it first: set a smaller value"
        yield from self._check_kubernetes()
        if any(upstream.has_companion for upstream in self.upstreams.values()):
            from sidecars.ambassador.config import beside_checks  # noqa: PLC0415 - hedges and mirrors are rare

            yield from beside_checks.contradictions(
                self.upstreams, lambda field, name: variable(type(self), field, name)
            )
        yield from seeing_settings.problems(self, type(self))
        admin = variable(type(self), "admin_listen")
        taken = [(admin, self.admin_listen)] if self.admin_listen else []
        for name, upstream in self.upstreams.items():
            listen = variable(type(self), "listen", name)
            if not upstream.listen:
                yield f"{listen}=off: expected an address: the app cannot reach an upstream without one"
                continue
            for other, address_of_other in taken:
                shares = upstream.listen == address_of_other and other != admin  # `shared_ports` judges those
                if not shares and overlap(upstream.listen, address_of_other):
                    yield f"{listen}={upstream.listen}: {other} is {address_of_other}: give each its own address"
            taken.append((listen, upstream.listen))
        yield from shared_ports.problems(self.upstreams, lambda field, name: variable(type(self), field, name))
        for name, upstream in self.upstreams.items():
            own = variable(type(self), "upstream", name)
            for target in upstream.upstream.targets:
                if _is_own_address(target, upstream.listen):
                    yield f"{own}={upstream.upstream}: {target.host_port} is this ambassador itself: set the service's"
            yield from self._check_upstream(name, upstream)

    def _check_kubernetes(self) -> Iterator[str]:
        api, named = self.kubernetes_api, variable(type(self), "kubernetes_api")
        if api is None:
            return
        if api.scheme == "http" and not is_loopback(api.hostname):
            yield f"{named}={api}: the token would be sent without encryption: use https://, or http:// on loopback"
        if str(api.target) not in ("", "/"):
            yield f"{named}={api}: expected a URL without a path"

    def _check_upstream(self, name: str, upstream: UpstreamSettings) -> Iterator[str]:
        def of(field: str) -> str:
            return variable(type(self), field, name)

        if upstream.dns_min_ttl > upstream.dns_max_ttl:
            yield f"{of('dns_min_ttl')} is more than {of('dns_max_ttl')}: set it to at most that"
        if upstream.token is not None and not bearer_token.is_bearer_token(upstream.token):
            yield f"{of('token')}: it holds no bearer token (letters, digits and -._~+/)"
        if upstream.has_auth:
            from sidecars.ambassador.config.identity import auth_checks  # noqa: PLC0415 - loaded only where one is set

            yield from auth_checks.wrong(self, upstream, of)
        for field, clause in upstream.wrong_ways():
            yield f"{of(field)} {clause.replace('{proxy}', of('proxy'))}"
        yield from check_ejection(upstream, of)
        schemes = upstream.upstream.schemes
        yield from _check_grpc(upstream, of)
        plain = " and ".join(f"{scheme}://" for scheme in sorted(schemes - {"https"}))
        for field in _credentials(upstream) if plain and "https" in schemes else ():
            yield (
                f"{of(field)} would be sent to the {plain} targets of {of('upstream')} without encryption: let all of"
                " them be https://"
            )

    def warn(self) -> Iterator[str]:
        yield from seeing_settings.warnings(self, type(self))
        for name, upstream in self.upstreams.items():
            plain = [
                target.host_port
                for target in upstream.upstream.targets
                if not target.tls and not target.is_unix and not is_loopback(target.host)
            ]
            for field in _credentials(upstream) if plain else ():
                credential = variable(type(self), field, name)
                yield f"{credential} is sent to {', '.join(plain)} without encryption: use https://"
            for field, clause in upstream.ways_in_clear():
                yield f"{variable(type(self), field, name)} {clause}"
            if upstream.has_auth:
                from sidecars.ambassador.config.identity import auth_checks  # noqa: PLC0415 - loaded only where one is set

                yield from auth_checks.in_clear(self, upstream, partial(_variable, name))


def _variable(name: str, field: str) -> str:
    return variable(Settings, field, name)


def _check_grpc(upstream: UpstreamSettings, of: Callable[[str], str]) -> Iterator[str]:
    if upstream.health_grpc != "off" and upstream.health_path:
        yield f"{of('health_grpc')} and {of('health_path')} are set: a check is one request, so unset one of them"


def _credentials(upstream: UpstreamSettings) -> Iterator[str]:
    """Yield the fields of the settings whose secrets are sent with each request to the upstream."""
    if upstream.upstream.protocol != "http":
        return
    if upstream.token is not None:
        yield "token"
    if upstream.auth in (AWS, OAUTH2):
        yield "auth"
    if any(edit.is_credential for edit in upstream.headers or ()):
        yield "headers"


def _is_own_address(target: Target, listen: Address) -> bool:
    """Return True if the target is the address on which we listen."""
    if target.is_unix:
        return listen.path == target.host
    if listen.path or not listen.port or target.port != listen.port:
        return False
    return target.host == listen.host or (target.host in _LOOPBACK and listen.host in (*_EVERYWHERE, *_LOOPBACK))
