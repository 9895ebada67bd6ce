"""The app of the demo: business code only. It does not know that it has sidecars.

It serves a page of the WAR in its webapps folder, confirms orders by a request to the one localhost address that it
knows, writes a log file, rotates it at SIGHUP, and has `/metrics`. It has no `/health`, ships no logs, balances nothing
and retries nothing.

    python demo/app.py PORT WEBAPPS LOGFILE BACKEND_URL
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from aiohttp import web

LINES_PER_ORDER = 20


class LogFile:
    """A log that is rotated by renaming at the worst time: in the middle of a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", buffering=1)
        self._rotations = 0
        self._lines = 0
        self._rotate_next = False

    def rotate(self) -> None:
        """Rotate in the middle of the next line."""
        self._rotate_next = True

    def write(self, text: str) -> None:
        self._lines += 1
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{stamp} INFO [line={self._lines}] {text}\n"
        if not self._rotate_next:
            self._file.write(line)
            return
        self._rotate_next = False
        self._rotations += 1
        half = len(line) // 2
        self._file.write(line[:half])
        self._file.flush()
        self._path.rename(self._path.with_name(f"{self._path.name}.{self._rotations}"))
        self._file.write(line[half:])
        self._file.close()
        self._file = self._path.open("a", buffering=1)


class Shop:
    """The business: a page, orders, and metrics."""

    def __init__(self, webapps: Path, logfile: Path, backend: str) -> None:
        self.log = LogFile(logfile)
        self._backend = httpx.AsyncClient(base_url=backend, timeout=10, trust_env=False)
        self._orders = 0
        self._failures = 0
        with zipfile.ZipFile(webapps / "shop.war") as war:
            self._page = war.read("index.html")

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/shop/", self.page)
        app.router.add_get("/shop/order", self.order)
        app.router.add_get("/metrics", self.metrics)
        app.cleanup_ctx.append(self._for_as_long_as_it_runs)
        return app

    async def _for_as_long_as_it_runs(self, _app: web.Application) -> AsyncIterator[None]:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.log.rotate)
        async with self._backend:
            yield

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page, content_type="text/html")

    async def order(self, _request: web.Request) -> web.Response:
        self._orders += 1
        number = self._orders
        try:
            response = await self._backend.get(f"/orders/{number}")
            confirmed = response.raise_for_status().json()
        except httpx.HTTPError as error:
            self._failures += 1
            self.log.write(f"order={number} failed")
            return web.Response(status=502, text=f"the backend failed: {error}\n")
        for step in range(LINES_PER_ORDER):
            self.log.write(
                f"order={number} step={step} replica={confirmed['replica']} com.shop.OrderService.place: done"
            )
        return web.json_response(confirmed)

    async def metrics(self, _request: web.Request) -> web.Response:
        text = (
            "# HELP shop_orders_total Orders taken.\n# TYPE shop_orders_total counter\n"
            f"shop_orders_total {self._orders}\n"
            "# HELP shop_order_failures_total Orders that the backend did not confirm.\n"
            "# TYPE shop_order_failures_total counter\n"
            f"shop_order_failures_total {self._failures}\n"
        )
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})


def main(arguments: list[str]) -> None:
    port, webapps, logfile, backend = arguments
    shop = Shop(Path(webapps), Path(logfile), backend)
    web.run_app(shop.application(), host="127.0.0.1", port=int(port), print=None, access_log=None, backlog=128)


if __name__ == "__main__":
    main(sys.argv[1:])
