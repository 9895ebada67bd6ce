"""The app: it has one gRPC channel, to localhost, and knows nothing of replicas, retries or balancing.

GET /orders/<id>      one call of `Get`; its status and its answer
GET /many?orders=N    N calls of `Get`, some at a time; the replicas that answered, and the errors by their status
GET /watch            opens a stream of `Watch` that stays open; the replica that serves it
GET /watches          the streams of `/watch`: open, and ended with which status
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import grpc.aio
from aiohttp import web

ORDERS = os.environ.get("ORDERS", "127.0.0.1:8500")
AT_A_TIME = 16
MOST = 20_000
DEADLINE = 30.0  # seconds
# The channel neither repeats a call nor looks at a proxy's settings: what this example shows is the ambassador's work.
OPTIONS = (("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0))

CHANNEL = web.AppKey("channel", grpc.aio.Channel)
WATCHES = web.AppKey("watches", Counter)
TASKS = web.AppKey("tasks", set)


async def get(channel: grpc.aio.Channel, number: int) -> dict[str, object]:
    """Return an order. Messages are JSON here, so that the example needs no generated code."""
    call = channel.unary_unary("/shop.v1.Orders/Get")
    answer = await call(json.dumps({"order": number}).encode(), timeout=DEADLINE, wait_for_ready=True)
    found: dict[str, object] = json.loads(answer)
    return found


async def many(channel: grpc.aio.Channel, count: int) -> dict[str, object]:
    """Get `count` orders and count the replicas that answered, and the errors."""
    replicas: Counter[object] = Counter()
    errors: Counter[str] = Counter()
    first: list[str] = []
    numbers = iter(range(count))

    async def customer() -> None:
        for number in numbers:
            try:
                replicas[(await get(channel, number))["replica"]] += 1
            except grpc.aio.AioRpcError as error:
                errors[error.code().name] += 1
                first.append(error.details() or "")

    async with asyncio.TaskGroup() as customers:
        for _ in range(AT_A_TIME):
            customers.create_task(customer())
    return {"asked": count, "errors": errors, "answered by": replicas, "first errors": first[:3]}


routes = web.RouteTableDef()


@routes.get("/orders/{id}")
async def order(request: web.Request) -> web.Response:
    try:
        return web.json_response(await get(request.app[CHANNEL], int(request.match_info["id"])))
    except grpc.aio.AioRpcError as error:
        return web.json_response({"status": error.code().name, "message": error.details()}, status=502)


@routes.get("/many")
async def count_orders(request: web.Request) -> web.Response:
    orders = int(request.query.get("orders", "100"))
    return web.json_response(await many(request.app[CHANNEL], min(orders, MOST)))


@routes.get("/watch")
async def watch(request: web.Request) -> web.Response:
    watches = request.app[WATCHES]
    stream = request.app[CHANNEL].unary_stream("/shop.v1.Orders/Watch")(b"{}", wait_for_ready=True)
    first = json.loads(await stream.read())
    watches["open"] += 1

    async def follow() -> None:
        try:
            while await stream.read() is not grpc.aio.EOF:
                pass
            watches["ended"] += 1
        except grpc.aio.AioRpcError as error:
            watches[error.code().name] += 1
        finally:
            watches["open"] -= 1

    task = asyncio.create_task(follow())
    request.app[TASKS].add(task)
    task.add_done_callback(request.app[TASKS].discard)
    return web.json_response(first)


@routes.get("/watches")
async def count_watches(request: web.Request) -> web.Response:
    return web.json_response(request.app[WATCHES])


async def with_channel(app: web.Application) -> AsyncIterator[None]:
    app[WATCHES], app[TASKS] = Counter(open=0), set()
    async with grpc.aio.insecure_channel(ORDERS, options=OPTIONS) as app[CHANNEL]:
        yield
        for task in app[TASKS]:
            task.cancel()


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(with_channel)
    # It ends with 0 at SIGTERM, which the kernel drops for a process 1 without a handler.
    web.run_app(app, host=os.environ.get("HOST"), port=int(os.environ.get("PORT", "8080")), print=None, access_log=None)
