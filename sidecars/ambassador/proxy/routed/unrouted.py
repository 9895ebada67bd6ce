"""A request that no upstream gets: it ends with a local reply, and makes no attempt."""

from __future__ import annotations

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.grpc.call import GrpcCall
from sidecars.ambassador.upstream.upstream import Upstream


class UnroutedExchange(Exchange):
    """Such a request. Its port counts and logs it."""

    def __init__(self, client: AppSide, port: Upstream, request: Request, cause: Cause) -> None:
        super().__init__(client, port, request)
        self._cause = cause

    def start(self, now: float) -> None:  # noqa: ARG002 - there is nothing to wait for
        self.give_up(self._cause)


class UnroutedCall(GrpcCall):
    """The same for a call of gRPC, which is counted by its status, too."""

    def __init__(self, client: AppSide, port: Upstream, request: Request, cause: Cause) -> None:
        super().__init__(client, port, request)
        self._cause = cause

    def start(self, now: float) -> None:  # noqa: ARG002 - so, too
        self.give_up(self._cause)
