"""A service outside of the Pod: it responds to `GET /<anything>` with JSON that names the service and the replica.

- SERVICE: its name.
- MODE: `well`, `slow` (a second for each response) or `failing` (a 503 and a closed connection in turns).
- TLS_CERT and TLS_KEY: with these it speaks TLS.
- HOST and PORT: the address on which it listens.
"""

import asyncio
import itertools
import os
import socket
import ssl

from aiohttp import web

SERVICE = os.environ.get("SERVICE", "orders")
MODE = os.environ.get("MODE", "well")
SLOW = 1.0  # seconds

turns = itertools.count()


async def answer(request: web.Request) -> web.Response:
    if MODE == "slow":
        await asyncio.sleep(SLOW)
    if MODE == "failing" and next(turns) % 2 and request.transport is not None:
        request.transport.close()  # the response below goes nowhere
    replica = os.environ.get("REPLICA") or socket.gethostname()
    document = {"service": SERVICE, "path": request.path_qs, "replica": replica, "mode": MODE, "host": request.host}
    return web.json_response(document, status=503 if MODE == "failing" else 200)


def tls() -> ssl.SSLContext | None:
    if "TLS_CERT" not in os.environ:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    return context


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    host, port = os.environ.get("HOST"), int(os.environ.get("PORT", "8080"))
    web.run_app(app, host=host, port=port, ssl_context=tls(), print=None, access_log=None)
