"""A replica of the orders service, outside of the Pod, in gRPC with JSON as messages.

- `shop.v1.Orders/Get` answers with the order and the name of the replica.
- `shop.v1.Orders/Watch` is a stream: it names the replica at once, and then is quiet.
- `grpc.health.v1.Health/Check` says that it serves.

MODE is `well` or `slow` (half a second for each order). HOST and PORT are the address on which it listens. At SIGTERM
it sends GOAWAY, and ends when the calls in progress have ended, or after GRACE seconds.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator

import grpc
import grpc.aio

MODE = os.environ.get("MODE", "well")
REPLICA = os.environ.get("REPLICA") or socket.gethostname()
SLOW = 0.5  # seconds
GRACE = float(os.environ.get("GRACE", "10"))
SERVING = b"\x08\x01"  # a HealthCheckResponse whose field 1 is 1


async def get(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
    if MODE == "slow":
        await asyncio.sleep(SLOW)
    return json.dumps({**json.loads(request), "replica": REPLICA, "mode": MODE}).encode()


async def watch(_request: bytes, _context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
    yield json.dumps({"replica": REPLICA}).encode()
    await asyncio.Event().wait()


async def check(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
    return SERVING


async def serve() -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    orders = {"Get": grpc.unary_unary_rpc_method_handler(get), "Watch": grpc.unary_stream_rpc_method_handler(watch)}
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("shop.v1.Orders", orders),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        )
    )
    server.add_insecure_port(f"{os.environ.get('HOST', '[::]')}:{os.environ.get('PORT', '8080')}")
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await server.start()
    await ending.wait()
    await server.stop(GRACE)


if __name__ == "__main__":
    asyncio.run(serve())
