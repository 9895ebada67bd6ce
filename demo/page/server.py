"""The server of the page, by aiohttp, on loopback and in the event loop of the story.

GET /          the page. Its style and script are in it, and allowed by their hashes alone
GET /events    the story as server-sent events, from its beginning or from the event after `Last-Event-ID`
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from demo.loopback import LoopbackServer
from demo.page.history import History
from sidecars.chassis.http import host_header
from sidecars.chassis.page import policy

HEARTBEAT = 10.0  # seconds without an event, until a comment says that the connection lives
CLIENTS = 32  # streams at a time; further ones get 503
GRACE = 2.0  # seconds that a client has to read the end of the story; one that does not read must not hold the demo
PAGE = (Path(__file__).parent / "page.html").read_text()


COMMON = {"Cache-Control": "no-store", **policy.SAFE}
HEADERS = {**COMMON, **policy.headers(PAGE, images="data:")}  # its icon is one


@web.middleware
async def only_local_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not host_header.is_address(request.headers.get("Host", "")):
        return web.Response(status=403, text="open the page by its address, or as localhost\n", headers=COMMON)
    return await handler(request)


class PageServer(LoopbackServer):
    """Serves a history while its async context lasts. `url` is where."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._streams = 0
        app = web.Application(middlewares=[only_local_names])
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events, allow_head=False)
        # A client that goes away ends its stream at once, and not at the next heartbeat.
        super().__init__(app, grace=GRACE, handler_cancellation=True)

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=PAGE, headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        history = self._history
        last = request.headers.get("Last-Event-ID", "")
        place = history.place_after(last)
        if history.ended and place == len(history):
            return web.Response(status=204, headers=COMMON)  # tells an EventSource not to come back
        if self._streams >= CLIENTS:
            return web.Response(status=503, text=f"{CLIENTS} pages are open already\n", headers=COMMON)
        self._streams += 1
        try:
            response = web.StreamResponse(headers=COMMON | {"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await self._stream(response, place)
        finally:
            self._streams -= 1
        return response

    async def _stream(self, response: web.StreamResponse, place: int) -> None:
        """Write the events from a place on, until the story has ended. Raises OSError if the client has gone."""
        history = self._history
        await response.write(b"retry: 1000\n\n")
        while not (history.ended and place == len(history)):
            if events := history.since(place):
                place += len(events)
                await response.write(b"".join(events))
                continue
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await history.grown(place)
            except TimeoutError:
                await response.write(b": still here\n\n")
