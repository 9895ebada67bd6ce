"""Begin the exchange of a request on a port that has routes: choose its upstream, and map its target."""

from __future__ import annotations

from typing import cast

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.http2_request import Http2Request
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import Http1Request
from sidecars.ambassador.http2.heads import RequestHead
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.grpc.call import new_exchange
from sidecars.ambassador.proxy.routed.rewriting import RewritingExchange
from sidecars.ambassador.routing.path_reading import PathRefused
from sidecars.ambassador.routing.route_table import Route, RouteTable
from sidecars.ambassador.upstream.upstream import Upstream


def http1_exchange(client: AppSide, port: Upstream, request: Http1Request, data: bytes, end: int) -> Exchange:
    """Return the exchange of a request, whose head in `data[:end]` the port has parsed. It is not started."""
    table = cast("RouteTable", port.routes)
    route: Route | None = None
    cause = local_replies.NO_ROUTE
    try:
        route = table.choose(request.host, request.target, request.lines() if table.needs_fields else b"")
    except PathRefused as error:
        cause = local_replies.path_refused(error.reason)
    upstream = port.members[0 if route is None else route.owner]
    parser = upstream.request_parser
    if upstream is not port and not parser.edits.is_empty and (route is not None or port.observer is not None):
        request = parser.parse(data, end)  # anew, with HEADERS of the upstream
    return _refused(client, port, request, cause) if route is None else _exchange(client, upstream, request, route)


def http2_exchange(client: AppSide, port: Upstream, head: RequestHead, length: int) -> Exchange:
    """Return the exchange of a request that came in HTTP/2; `length` as in Http2Request. Raises MessageRejected."""
    table = cast("RouteTable", port.routes)
    route: Route | None = None
    cause: Cause = local_replies.NO_ROUTE
    try:
        route = table.choose(head.authority, head.path, b"\r\n" + head.lines() if table.needs_fields else b"")
    except PathRefused as error:
        cause = local_replies.path_refused(error.reason)
    upstream = port.members[0 if route is None else route.owner]
    request = Http2Request(head, upstream.request_parser.edits, length)
    return _refused(client, port, request, cause) if route is None else _exchange(client, upstream, request, route)


def _refused(client: AppSide, port: Upstream, request: Request, cause: Cause) -> Exchange:
    """Return the exchange of a request that no upstream gets. Its port counts and logs it.

    What it logs and traces is what all upstreams of the port have in common, so the request was parsed as one for them.
    """
    cast("RouteTable", port.routes).unrouted += 1
    exchange = new_exchange(client, port, request)
    exchange.refusal = cause
    return exchange


def _exchange(client: AppSide, upstream: Upstream, request: Request, route: Route) -> Exchange:
    route.requests += 1
    exchange: Exchange
    addresses = route.addresses
    if addresses is not None and addresses.rewrites and not request.is_grpc:
        exchange = RewritingExchange(client, upstream, request, addresses)
    else:
        exchange = new_exchange(client, upstream, request)
    if addresses is not None:
        request.asked = request.target
        request.target = addresses.outward(request.target)
    return exchange
