"""The app: it knows one address, on localhost, and nothing of services, replicas, names, retries or certificates.

GET /orders/<id>      returns the response of 127.0.0.1:8500, with its status
GET /payments/<id>    the same, and does not know that another service answers there
GET /many?orders=N    requests N orders, some at a time, and counts the responses of each replica and the errors
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx
from aiohttp import web

SERVICES = os.environ.get("SERVICES", "http://127.0.0.1:8500")
AT_A_TIME = 8
MOST = 5000
RESTART = 20.0  # seconds in which a container is back after it has ended

CLIENT = web.AppKey("client", httpx.AsyncClient)


async def ask(client: httpx.AsyncClient, url: str) -> tuple[int, bytes]:
    """Return the status and the body; 599 without a response.

    If nobody listens, or the connection ends without a response, the ambassador restarts. A GET may be repeated, so the
    app tries again for RESTART seconds, each time after twice the pause, with chance in it, so that attempts spread.
    """
    end, pause = time.monotonic() + RESTART, 0.05
    while True:
        try:
            response = await client.get(url)
            starting = "dns_error" in response.headers.get("Proxy-Status", "")  # it has not heard from DNS yet
            if not starting or time.monotonic() > end:
                return response.status_code, response.content
        except httpx.TransportError as error:
            lost = isinstance(error, httpx.NetworkError | httpx.ProtocolError)
            if not lost or time.monotonic() > end:
                return 599, str(error).encode()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads attempts; no secret
        pause = min(2 * pause, 1.0)


async def many(client: httpx.AsyncClient, count: int) -> dict[str, object]:
    """Request `count` orders and count the replicas that served them."""
    replicas: Counter[str] = Counter()
    errors: list[str] = []
    numbers = iter(range(count))

    async def customer() -> None:
        for number in numbers:
            status, body = await ask(client, f"{SERVICES}/orders/{number}")
            if status == 200:
                replicas[httpx.Response(status, content=body).json()["mode"]] += 1
            else:
                errors.append(body.decode())

    async with asyncio.TaskGroup() as customers:
        for _ in range(AT_A_TIME):
            customers.create_task(customer())
    return {"asked": count, "errors": len(errors), "answered by": replicas, "first errors": errors[:3]}


routes = web.RouteTableDef()


@routes.get("/orders/{id}")
async def order(request: web.Request) -> web.Response:
    status, body = await ask(request.app[CLIENT], SERVICES + request.path_qs)
    return web.Response(status=status, body=body)


@routes.get("/payments/{id}")
async def payment(request: web.Request) -> web.Response:
    status, body = await ask(request.app[CLIENT], SERVICES + request.path_qs)
    return web.Response(status=status, body=body)


@routes.get("/many")
async def count_orders(request: web.Request) -> web.Response:
    orders = int(request.query.get("orders", "100"))
    return web.json_response(await many(request.app[CLIENT], min(orders, MOST)))


async def with_client(app: web.Application) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as app[CLIENT]:
        yield


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(with_client)
    # It ends with 0 at SIGTERM, which the kernel drops for a process 1 without a handler.
    web.run_app(app, host=os.environ.get("HOST"), port=int(os.environ.get("PORT", "8080")), print=None, access_log=None)
