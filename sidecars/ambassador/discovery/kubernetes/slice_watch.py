"""Follow the EndpointSlices of one Service: list them, watch them, and go on after any error.

    ┌──▶ list ──▶ watch ──┬── it ended, or the connection broke ──▶ watch, from the last resource version
    │                     ├── it brought nothing, three times ──▶ list
    │                     ├── 410, or something that is not understood ──▶ list
    │                     └── refused (401, 403, 5xx …) ──▶ watch again, after a pause
    └── failed, after a pause

Sources: https://kubernetes.io/docs/reference/using-api/api-concepts/ for lists in chunks, watches, bookmarks and 410.

Every watch ends by `timeoutSeconds`, which differs from Pod to Pod, so that they are spread over the API servers. A
watch that ended early is followed by a pause, too: an API server that closes each connection is not flooded. The token
is read for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode

from sidecars.ambassador.discovery.kubernetes import documents
from sidecars.ambassador.discovery.kubernetes.api_client import ApiClient, ApiResponse, ConnectionBroke
from sidecars.ambassador.discovery.kubernetes.api_place import ApiFailed
from sidecars.ambassador.discovery.kubernetes.backoff import Backoff
from sidecars.ambassador.discovery.kubernetes.documents import LARGEST, TooLarge, UnusableDocument, WatchLines
from sidecars.ambassador.discovery.kubernetes.endpoint_slices import EndpointSlice, resource_version
from sidecars.ambassador.discovery.kubernetes.paced_call import PacedCall
from sidecars.ambassador.discovery.kubernetes.slice_table import (
    GONE,
    SliceTable,
    VersionGone,
    WatchFailed,
    check_number,
)

_PAGE: Final = 4  # slices of a page: of the usual 100 endpoints each, and of the largest size still within the limit
_MOST_PAGES: Final = 1000
_LONGEST_TOKEN: Final = 8 * 1024  # characters of `continue`
_LIST_WITHIN: Final = 30.0  # seconds for all pages
_LATE: Final = 30.0  # seconds after `timeoutSeconds` when a watch that has not ended is given up
_MOST_FRUITLESS: Final = 3  # watches in a row that end early and bring nothing, after which everything is listed
_LONG: Final = 0.002  # seconds of work for a piece of a watch, after which others get their turn
_REST: Final = 3.0  # times as long
_STEADY: Final = 10.0  # seconds of a watch after which the pauses begin with the first again


@dataclass(frozen=True, slots=True)
class Service:
    """A Service by its name and its namespace; "" for the namespace of this Pod."""

    name: str
    namespace: str


class SliceListener(Protocol):
    """The follower of a Service."""

    def on_slices(self, table: SliceTable) -> None:
        """Take up slices that are listed or have changed."""

    def on_heard(self) -> None:
        """Note that the API server has sent something."""

    def on_watching(self, table: SliceTable) -> None:
        """Note that the slices are followed: a watch has begun."""

    def on_api_failure(self, reason: str) -> None:
        """Note that they are not followed at present. The known endpoints stay."""

    def on_defect(self, error: Exception) -> None:
        """Count and log an unexpected exception."""


class SliceWatch:
    """Follows one Service until it is cancelled. `watch_for` are seconds; a watch takes up to twice as long."""

    def __init__(
        self,
        client: ApiClient,
        service: Service,
        listener: SliceListener,
        *,
        watch_for: float = 300.0,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.table = SliceTable(loopback=client.place.is_loopback)
        self._client = client
        self._service = service
        self._listener = listener
        self._watch_for = watch_for
        self._rand = rand
        self._backoff = Backoff(rand)
        self._page = _PAGE
        self._fruitless = 0  # watches in a row that ended early without an event
        loop = asyncio.get_running_loop()
        self._telling = PacedCall(lambda: listener.on_slices(self.table), loop, listener.on_defect)

    async def run(self) -> None:
        """List and watch, again and again."""
        try:
            await self._follow()
        finally:
            self._telling.cancel()

    async def _follow(self) -> None:
        while True:
            began = time.monotonic()
            pause = 0.0
            try:
                if not self.table.resource_version:
                    await self._list()
                await self._watch()
            except ApiFailed as error:
                pause = error.pause
                if error.is_stale:
                    self.table.forget_version()
                self._listener.on_api_failure(str(error))
            except VersionGone:
                self.table.forget_version()
            except WatchFailed as error:
                self.table.forget_version()
                self._listener.on_api_failure(f"the API server has ended the watch with status {error.status}")
            except UnusableDocument as error:
                self.table.forget_version()
                self._listener.on_api_failure(str(error))
            except Exception as error:  # noqa: BLE001 - nothing that the API server sends may end the loop
                self.table.forget_version()
                self._listener.on_defect(error)
                self._listener.on_api_failure("an unexpected error, see the log")
            if time.monotonic() - began >= _STEADY:
                self._backoff.succeeded()
            await asyncio.sleep(self._backoff.next_pause(pause))

    # -- list -----------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        try:
            async with asyncio.timeout(_LIST_WITHIN):
                slices, version = await self._pages()
        except TimeoutError:
            raise ApiFailed(f"the API server did not send its list in {_LIST_WITHIN:g} s") from None
        except TooLarge:
            self._page = 1  # for the next attempt
            raise
        self.table.replace(slices, version)
        self._listener.on_heard()
        self._listener.on_slices(self.table)

    async def _pages(self) -> tuple[list[EndpointSlice], str]:
        """Return all slices, and the resource version of the list."""
        slices: list[EndpointSlice] = []
        token = ""
        for _ in range(_MOST_PAGES):
            more = {"continue": token} if token else {}
            async with self._client.get(self._target(limit=str(self._page), **more)) as response:
                if response.status != 200:
                    raise self._refusal(response, "list")
                body = await response.read_whole(LARGEST)
            if body is None:
                raise TooLarge("a list of the API server is too large")
            document = documents.parse(body)
            slices += self.table.parse_page(document)
            check_number(sum(len(each.endpoints) for each in slices), len(slices))
            version = resource_version(document)
            metadata = document.get("metadata")
            token = metadata.get("continue") or "" if isinstance(metadata, dict) else ""
            if not version or not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
                raise UnusableDocument("the API server sent a list without a resource version")
            if not token:
                return slices, version
        raise TooLarge("a list of the API server has too many pages")

    # -- watch ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Watch until the watch ends."""
        seconds = int(self._watch_for * (1 + self._rand()))
        target = self._target(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=self.table.resource_version,
            timeoutSeconds=str(max(1, seconds)),
        )
        began, has_begun = time.monotonic(), False
        try:
            async with self._client.get(target) as response:
                if response.status != 200:
                    raise self._refusal(response, "watch")
                has_begun = True
                self._listener.on_heard()
                self._listener.on_watching(self.table)
                await self._read_events(response, seconds + _LATE)
        except ConnectionBroke:
            if not has_begun:
                raise
        if time.monotonic() - began < _STEADY:
            self._fruitless += 1
            if self._fruitless >= _MOST_FRUITLESS:
                self._fruitless = 0
                raise ApiFailed("the API server ends each watch at once", is_stale=True)

    async def _read_events(self, response: ApiResponse, within: float) -> None:
        lines = WatchLines()
        with contextlib.suppress(TimeoutError), contextlib.ExitStack() as at_end:
            at_end.callback(self._telling.flush)  # before it is told that the watch has failed
            async with asyncio.timeout(within):
                while piece := await response.read():
                    self._listener.on_heard()
                    began = time.monotonic()
                    self._apply(lines.cut(piece))
                    spent = time.monotonic() - began
                    if spent > _LONG:
                        await asyncio.sleep(_REST * spent)

    def _apply(self, lines: list[bytes]) -> None:
        """Apply the events of one piece, and tell the listener once."""
        changed = False
        try:
            for line in lines:
                changed |= self.table.apply(documents.parse(line))
                self._fruitless = 0
        finally:
            if changed:
                self._telling.ask()

    # -- requests -------------------------------------------------------------------------------------------------

    def _target(self, **parameters: str) -> str:
        namespace = self._service.namespace or self._client.place.namespace()
        query = urlencode({"labelSelector": f"kubernetes.io/service-name={self._service.name}", **parameters})
        return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?{query}"

    def _refusal(self, response: ApiResponse, verb: str) -> Exception:
        """Return the exception for a response that is no success, with the cure."""
        status = response.status
        where = self._service.namespace or "its own namespace"
        if status == GONE:
            return VersionGone()
        if status == 401:
            reason = "the API server does not accept the token (401): it has expired, or is of another cluster"
        elif status == 403:
            reason = (
                f"the ServiceAccount may not {verb} EndpointSlices in {where} (403): bind a Role there with get, list "
                "and watch of endpointslices in discovery.k8s.io"
            )
        elif status == 404:
            reason = "the API server has no discovery.k8s.io/v1 (404): Kubernetes has it since 1.21"
        else:
            reason = f"the API server answered with {status}"
        return ApiFailed(reason, pause=response.pause, is_stale=status in (400, 404))
