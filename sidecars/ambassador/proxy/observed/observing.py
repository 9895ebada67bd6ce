"""Put it together: an upstream whose exchanges are observed."""

from __future__ import annotations

from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.observed.exchanges import ObservedCall, ObservedExchange, ObservedRewriting
from sidecars.ambassador.proxy.observed.observer import Observer
from sidecars.ambassador.proxy.observed.span_queue import SpanQueue
from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.upstream.upstream import Upstream


class ObservedExchanges:
    """Makes the exchanges of one upstream, which calls `make` for each request."""

    def __init__(self, upstream: Upstream, queue: SpanQueue | None) -> None:
        self._observer = Observer(upstream, queue if upstream.settings.traces == "on" else None)

    def make(self, client: AppSide, upstream: Upstream, request: Request, addresses: AddressMap | None) -> Exchange:
        """Return an exchange that is not started. `addresses`: those that its response gets, if they differ."""
        if request.is_grpc:
            return ObservedCall(client, upstream, request, self._observer)
        if addresses is not None:
            return ObservedRewriting(client, upstream, request, self._observer, addresses)
        return ObservedExchange(client, upstream, request, self._observer)


def observe(upstream: Upstream, queue: SpanQueue | None) -> None:
    """Observe the exchanges of this upstream from now on. `queue` takes their spans, if it exports any."""
    upstream.observe = ObservedExchanges(upstream, queue).make
