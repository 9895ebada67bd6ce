"""The tasks that follow one `k8s://` target: its EndpointSlices, and DNS while the API is away."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from sidecars.ambassador.discovery.dns_refresh import Resolver
from sidecars.ambassador.discovery.dns_target import DnsTarget
from sidecars.ambassador.discovery.kubernetes.api_client import ApiClient
from sidecars.ambassador.discovery.kubernetes.api_place import ApiPlace
from sidecars.ambassador.discovery.kubernetes.follower import Follower, FollowingUpstream, Patience
from sidecars.ambassador.discovery.kubernetes.selection import Wanted
from sidecars.ambassador.discovery.kubernetes.slice_watch import Service, SliceWatch
from sidecars.ambassador.settings import Settings


def follow(
    settings: Settings,
    environ: Mapping[str, str],
    upstream: FollowingUpstream,
    target: DnsTarget,
    resolver: Resolver,
) -> list[Coroutine[Any, Any, None]]:
    """Return the coroutines to run, each until it is cancelled. `environ` tells where the API server is."""
    host = target.target.host
    wanted = Wanted(
        host,
        target.target.port,
        target.target.port_name,
        zone=settings.topology_zone or "",
        family=settings.kubernetes_family,
    )
    patience = Patience(settings.kubernetes_grace, settings.upstreams[upstream.name].dns_min_ttl)
    follower = Follower(upstream, target, wanted, resolver, patience)
    name, _, namespace = host.partition(".")
    watch = SliceWatch(ApiClient(ApiPlace(settings, environ)), Service(name, namespace), follower)
    return [watch.run(), follower.fall_back()]
