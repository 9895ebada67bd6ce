"""One replica of the backend that confirms orders: `python demo/backend.py PORT NUMBER`."""

from __future__ import annotations

import sys

from aiohttp import web


def replica(number: int) -> web.Application:
    async def confirm(request: web.Request) -> web.Response:
        return web.json_response({"order": request.match_info["order"], "replica": number})

    app = web.Application()
    app.router.add_get("/orders/{order}", confirm)
    return app


if __name__ == "__main__":
    port, number = map(int, sys.argv[1:])
    web.run_app(replica(number), host="127.0.0.1", port=port, print=None, access_log=None, backlog=128)
