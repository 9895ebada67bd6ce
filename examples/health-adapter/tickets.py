"""The app `tickets` of the example: a legacy app with /metrics on port 8080, and without a health endpoint.

SIGUSR1 jams the printer, and frees it again.
"""

import asyncio
import os
import signal

from aiohttp import web

printer = {"up": 1}

METRICS = """\
# HELP printer_up 1 when the ticket printer works.
# TYPE printer_up gauge
printer_up{{printer="hall"}} {up}
# HELP queue_length People who wait for a ticket.
# TYPE queue_length gauge
queue_length 3
"""


async def metrics(_request: web.Request) -> web.Response:
    text = METRICS.format(up=printer["up"])
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})


async def listen_to_signals(_app: web.Application) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: printer.update(up=1 - printer["up"]))


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.on_startup.append(listen_to_signals)
    web.run_app(app, port=int(os.environ.get("PORT", "8080")), print=None, access_log=None)
