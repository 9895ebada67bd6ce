"""The remote storage of the example: takes NDJSON by POST and prints it, so that its own log shows all that arrived."""

import sys

from aiohttp import web

LARGEST = 16 * 1024 * 1024  # bytes of a batch


async def take(request: web.Request) -> web.Response:
    batch = await request.read()
    sys.stdout.buffer.write(batch if batch.endswith(b"\n") else batch + b"\n")
    sys.stdout.buffer.flush()  # it is kept before it is confirmed
    return web.Response(status=204)


if __name__ == "__main__":
    app = web.Application(client_max_size=LARGEST)
    app.router.add_post("/", take)
    # It ends with 0 at SIGTERM, which the kernel ignores for a process 1 without a handler.
    web.run_app(app, port=8080, print=None, access_log=None)
