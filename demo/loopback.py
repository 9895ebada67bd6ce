"""A server of aiohttp on loopback, in the event loop of the story: the base of the storage and of the page."""

from __future__ import annotations

from typing import Self

from aiohttp import web


class LoopbackServer:
    """Serves an application on a port that the kernel chooses, while its async context lasts. `url` is its address."""

    def __init__(self, app: web.Application, *, grace: float, handler_cancellation: bool = False) -> None:
        """`grace` is the number of seconds that requests under way have at the end."""
        self.url = ""
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=grace, handler_cancellation=handler_cancellation
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._runner.cleanup()
