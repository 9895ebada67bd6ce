"""The remote log storage of the demo: it takes NDJSON over HTTP, keeps the lines, and can be broken."""

from __future__ import annotations

import json
from collections import Counter

from aiohttp import web

from demo.loopback import LoopbackServer

LARGEST = 16 * 1024 * 1024  # bytes of a batch


class Receiver(LoopbackServer):
    """Keeps the id and message of each delivered event, while its async context lasts.

    While `broken` it answers 503 and keeps nothing. While `silent` it keeps the events but sends no response.
    """

    def __init__(self) -> None:
        self.broken = False
        self.silent = False
        self.refused = 0
        self.kept_silently = 0
        self.received: Counter[str] = Counter()  # message -> times
        self.ids: Counter[str] = Counter()
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/", self._take)
        super().__init__(app, grace=1.0)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.broken:
            self.refused += 1
            return web.Response(status=503)
        self._keep(body)
        if self.silent and request.transport is not None:
            self.kept_silently += 1
            request.transport.abort()  # the response goes nowhere
        return web.Response(status=204)

    def _keep(self, body: bytes) -> None:
        events = [json.loads(line) for line in body.splitlines()]
        self.received.update(event["message"] for event in events)
        self.ids.update(event["id"] for event in events)
