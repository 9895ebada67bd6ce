"""The addresses of a Service that get requests: of all its EndpointSlices, as kube-proxy chooses them. No I/O.

The rules, in their order:

1. The port, by its number or its name, is that of each slice.
2. An address in several slices counts once. It is ready if one of them says so.
3. IPv4 and IPv6 addresses of a Service stand for the same Pods, so one family is used: the one of the setting, or the
   first of IPv4 and IPv6 to which there is a route and which has endpoints that can serve.
4. Endpoints that are ready are used. An endpoint that terminates is never ready (KEP-1672).
5. Without a ready one, those are used that serve although they terminate: a rollout that has gone wrong, or the last
   Pod that leaves (KEP-1669).
6. Of the ready ones those are used whose hints name the zone of this Pod, if every ready one has a hint and at least
   one names the zone (KEP-2433). Otherwise hints are ignored.

An answer without endpoints is an answer: the Service has none that could serve. It is a problem if there is no slice,
or no such port. Then the API does not tell where the Service is, and DNS may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sidecars.ambassador.discovery.dns_target import ResolvedAddress
from sidecars.ambassador.discovery.kubernetes.endpoint_slices import IPV4, IPV6, EndpointSlice, SliceEndpoint

AUTO_FAMILY: Final = "auto"
_FAMILIES: Final = {AUTO_FAMILY: (IPV4, IPV6), "ipv4": (IPV4,), "ipv6": (IPV6,)}
_SHOWN_PORTS: Final = 8

Key = tuple[str, int]  # an address and a port


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted part of a Service: a port by its number, or by its name if that is 0, and how to choose."""

    service: str  # for sentences
    port: int
    port_name: str = ""
    zone: str = ""  # of this Pod's node; "" if it is not known
    family: str = AUTO_FAMILY


@dataclass(frozen=True, slots=True)
class Selection:
    """The addresses that get requests, or the `problem` why nothing is known: a clause.

    `listed` are all addresses of the port: connections to one that gets no requests may go on. `note` is a clause about
    how the addresses were chosen, "" for the usual way.
    """

    addresses: tuple[ResolvedAddress, ...] = ()
    listed: frozenset[Key] = frozenset()
    note: str = ""
    problem: str = ""


def choose_endpoints(
    slices: Iterable[EndpointSlice], wanted: Wanted, has_route: Callable[[str], bool] = lambda _: True
) -> Selection:
    """Return the addresses. `has_route` tells if an address can be reached from here at all."""
    slices = tuple(slices)
    if not slices:
        return Selection(
            problem=f"there is no EndpointSlice of the Service {wanted.service}: it does not exist, has no selector, "
            "or is of the type ExternalName (use http:// with its DNS name)"
        )
    merged: dict[str, dict[Key, SliceEndpoint]] = {IPV4: {}, IPV6: {}}
    for each in slices:
        if each.family in merged:
            _merge(merged[each.family], each, wanted)
    listed = frozenset(key for known in merged.values() for key in known)
    if not listed and any(each.endpoints and not _numbers(each, wanted) for each in slices):
        return Selection(problem=_no_such_port(slices, wanted))
    for choose in (_choose_ready, _choose_terminating):
        for family in _FAMILIES[wanted.family]:
            known = merged[family]
            if known and has_route(next(iter(known))[0]) and (found := choose(known, wanted.zone)):
                keys, note = found
                return Selection(tuple(ResolvedAddress(ip, port) for ip, port in keys), listed, note)
    return Selection(listed=listed, note=_nothing_serves(merged, wanted, has_route))


def _numbers(each: EndpointSlice, wanted: Wanted) -> list[int]:
    """Return the number of the wanted port in a slice, as a list of one or none."""
    if wanted.port_name:
        return [number for name, number in each.ports if name == wanted.port_name][:1]
    return [number for _, number in each.ports if number == wanted.port][:1]


def _merge(known: dict[Key, SliceEndpoint], each: EndpointSlice, wanted: Wanted) -> None:
    for number in _numbers(each, wanted):
        for endpoint in each.endpoints:
            key = endpoint.ip, number
            other = known.get(key)
            if other is None or _rank(endpoint) > _rank(other):
                known[key] = endpoint


def _rank(endpoint: SliceEndpoint) -> tuple[bool, bool]:
    return _is_ready(endpoint), endpoint.serving


def _is_ready(endpoint: SliceEndpoint) -> bool:
    """Return True if the endpoint may get new requests. The API lets only a Service that publishes endpoints which are
    not ready have ready ones that terminate; new requests do not go there while there are others.
    """
    return endpoint.ready and not endpoint.terminating


def _choose_ready(known: dict[Key, SliceEndpoint], zone: str) -> tuple[list[Key], str] | None:
    ready = {key: endpoint for key, endpoint in known.items() if _is_ready(endpoint)}
    if not ready:
        return None
    if zone and all(endpoint.zones for endpoint in ready.values()):
        near = [key for key, endpoint in ready.items() if zone in endpoint.zones]
        if near:
            return near, f"zone {zone}: {len(near):,} of {len(ready):,} endpoints by hints of the cluster"
    return list(ready), ""


def _choose_terminating(known: dict[Key, SliceEndpoint], _zone: str) -> tuple[list[Key], str] | None:
    serving = [key for key, endpoint in known.items() if endpoint.serving and endpoint.terminating]
    return (serving, "no endpoint is ready: those serve that terminate") if serving else None


def _no_such_port(slices: Iterable[EndpointSlice], wanted: Wanted) -> str:
    ports = sorted({port for each in slices for port in each.ports})
    shown = ", ".join(f"{number} ({name})" if name else str(number) for name, number in ports[:_SHOWN_PORTS])
    return (
        f"the Pods of the Service {wanted.service} have no port {wanted.port_name or wanted.port}: name one of "
        f"{shown or 'them in the Service'} (the port of the Pods, which may be another than that of the Service)"
    )


def _nothing_serves(
    merged: dict[str, dict[Key, SliceEndpoint]], wanted: Wanted, has_route: Callable[[str], bool]
) -> str:
    known = [key for each in merged.values() for key in each]
    usable = [key for family in _FAMILIES[wanted.family] for key in merged[family]]
    if not known:
        return f"the Service {wanted.service} has no endpoints"
    if not usable:
        return f"the Service {wanted.service} has no {wanted.family.replace('ip', 'IP')} endpoints"
    if not any(has_route(ip) for ip, _ in usable[:1] + usable[-1:]):
        return f"there is no route to the endpoints of the Service {wanted.service}"
    return f"none of the {len(usable):,} endpoints of the Service {wanted.service} is ready"
