"""The external service of the example: responds to `GET /offers/<id>` with JSON that names the replica."""

import socket

from aiohttp import web


async def offer(request: web.Request) -> web.Response:
    return web.json_response({"offer": request.match_info["id"], "price": 42, "replica": socket.gethostname()})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/offers/{id}", offer)
    # It ends with 0 at SIGTERM, which the kernel ignores for a process 1 without a handler.
    web.run_app(app, port=8080, print=None, access_log=None)
