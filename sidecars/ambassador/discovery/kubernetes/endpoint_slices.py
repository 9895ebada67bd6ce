"""One EndpointSlice, as the API has it (discovery.k8s.io/v1). No I/O.

Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/

- `ready` that is missing counts as true, `serving` that is missing as `ready`, `terminating` that is missing as false.
- Only the first address of an endpoint has a meaning.
- Ports are those of the Pods (`targetPort`), not those of the Service. A port of another protocol than TCP is left out.
- An address that the API server would not accept there either is left out: unspecified, loopback, link-local and
  multicast. It would point to this Pod or to its node. Only if the API server itself is on loopback (a proxy, a test),
  loopback is accepted.
- Left out, too, are the metadata servers of clouds that are not link-local: they answer with credentials. NAT64 (RFC
  6052) leads to IPv4 addresses, so these are looked at within its prefix.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sidecars.ambassador.discovery.kubernetes.documents import UnusableDocument

IPV4: Final = "IPv4"
IPV6: Final = "IPv6"
MOST_ENDPOINTS: Final = 1000  # of a slice, as the API has it
_MOST_PORTS: Final = 100  # of a slice, as the API has it; more than that is cut off
_MOST_ZONES: Final = 8  # hints of an endpoint, as the API has it; more than that is cut off
_LONGEST: Final = 253  # characters of a name
_HIGHEST_PORT: Final = 65535
_METADATA: Final = frozenset(  # of AWS (two), Google Cloud, Azure and Alibaba
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "100.100.100.200"),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a slice. `zones` are those whose clients should use it, by the hints of the cluster."""

    ip: str
    ready: bool
    serving: bool
    terminating: bool
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """One slice: addresses of one family, which all have the same ports, by their names."""

    name: str
    family: str
    ports: tuple[tuple[str, int], ...]
    endpoints: tuple[SliceEndpoint, ...]


def resource_version(document: dict[str, Any]) -> str:
    """Return the resource version of an object or of a list; "" if it has none."""
    return _text(_object(document.get("metadata")).get("resourceVersion"))


def parse_slice(document: dict[str, Any], *, loopback: bool = False) -> EndpointSlice:
    """Return the slice. `loopback` is True if loopback addresses are accepted. Raises UnusableDocument."""
    name = _text(_object(document.get("metadata")).get("name"))
    if not name:
        raise UnusableDocument("the API server sent an EndpointSlice without a name")
    endpoints = _list(document.get("endpoints"))
    if len(endpoints) > MOST_ENDPOINTS:
        raise UnusableDocument(f"the API server sent an EndpointSlice of more than {MOST_ENDPOINTS:,} endpoints")
    family = _text(document.get("addressType"))
    found = [_parse_endpoint(_object(each), family, loopback=loopback) for each in endpoints]
    return EndpointSlice(name, family, tuple(_parse_ports(document)), tuple(one for one in found if one is not None))


def _parse_ports(document: dict[str, Any]) -> Iterable[tuple[str, int]]:
    for each in _list(document.get("ports"))[:_MOST_PORTS]:
        port = _object(each)
        number = port.get("port")
        if not isinstance(number, int) or isinstance(number, bool) or port.get("protocol") not in (None, "TCP"):
            continue
        if 0 < number <= _HIGHEST_PORT:
            yield _text(port.get("name")), number


def _parse_endpoint(document: dict[str, Any], family: str, *, loopback: bool) -> SliceEndpoint | None:
    addresses = _list(document.get("addresses"))
    ip = _usable_address(addresses[0], family, loopback=loopback) if addresses else ""
    if not ip:
        return None
    conditions = _object(document.get("conditions"))
    ready = conditions.get("ready") is not False
    serving = ready if conditions.get("serving") is None else conditions.get("serving") is True
    hints = _list(_object(document.get("hints")).get("forZones"))[:_MOST_ZONES]
    zones = [_text(_object(each).get("name")) for each in hints]
    return SliceEndpoint(ip, ready, serving, conditions.get("terminating") is True, tuple(filter(None, zones)))


def _usable_address(raw: Any, family: str, *, loopback: bool) -> str:
    """Return the address in its usual form; "" if it is none of the family, or a special one."""
    try:
        address = ipaddress.ip_address(_text(raw))
    except ValueError:  # of the type FQDN, or no address at all
        return ""
    if family != (IPV4 if address.version == 4 else IPV6):
        return ""
    mapped = getattr(address, "ipv4_mapped", None) or address
    if address in _NAT64:
        mapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    is_special = mapped.is_unspecified or mapped.is_link_local or mapped.is_multicast or mapped in _METADATA
    if is_special or (mapped.is_loopback and not loopback) or getattr(address, "scope_id", None):
        return ""
    return str(address)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Return a name or another short text; "" for anything else. It is printed, so it is printable ASCII."""
    is_short = isinstance(value, str) and len(value) <= _LONGEST
    return value if is_short and value.isascii() and value.isprintable() else ""
