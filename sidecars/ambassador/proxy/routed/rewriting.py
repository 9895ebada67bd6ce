"""An exchange whose response has the upstream's addresses, and gets those that the app uses."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.routing.response_addresses import ResponseAddresses
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide


class RewritingExchange(Exchange):
    """Such an exchange. Calls of gRPC are none: their responses have no addresses."""

    def __init__(self, client: AppSide, upstream: Upstream, request: Request, addresses: AddressMap) -> None:
        super().__init__(client, upstream, request)
        self._addresses = addresses
        self._scheme = b"http"  # of the endpoint that responds
        self._authority = b""  # the Host that it was sent

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        self._note(connection.endpoint)
        super().send(connection, receiver)

    def accept(self, response: Response, now: float) -> bool:
        if self.endpoint is not None:  # a hedge may have been sent to another one meanwhile
            self._note(self.endpoint)
        return super().accept(response, now)

    def _note(self, endpoint: Endpoint) -> None:
        host = self.request.host if self.upstream.preserves_host else None
        self._authority = host or endpoint.host
        self._scheme = b"https" if endpoint.tls else b"http"

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        super().respond_whole(self._rewritten(response), body, trailers, now)

    def respond(self, response: Response) -> None:
        super().respond(self._rewritten(response))

    def switch(self, response: Response, surplus: bytes) -> None:
        super().switch(self._rewritten(response), surplus)

    def _rewritten(self, response: Response) -> Response:
        editor = ResponseAddresses(self._addresses, self.request.host, self._scheme, self._authority)
        return response.edited(editor)
