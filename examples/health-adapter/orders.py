"""The app `orders` of the example: on port 8090 it has a health document of Spring's Actuator, and no metrics.

SIGUSR1 makes its database fail, and work again.
"""

import asyncio
import os
import signal

from aiohttp import web

database = {"up": True}


async def health(_request: web.Request) -> web.Response:
    up = database["up"]
    db = {"status": "UP"} if up else {"status": "DOWN", "details": {"error": "connection refused"}}
    disk = {"status": "UP", "details": {"total": 499963174912, "free": 91300069376}}
    document = {"status": db["status"], "components": {"db": db, "diskSpace": disk}}
    media_type = "application/vnd.spring-boot.actuator.v3+json"
    return web.json_response(document, status=200 if up else 503, content_type=media_type)


async def listen_to_signals(_app: web.Application) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: database.update(up=not database["up"]))


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/actuator/health", health)
    app.on_startup.append(listen_to_signals)
    web.run_app(app, port=int(os.environ.get("PORT", "8090")), print=None, access_log=None)
